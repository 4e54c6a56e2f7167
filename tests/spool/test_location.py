"""The directory of the spool."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.config import Settings
from blogauto_otel.spool.location import belongs_to, candidates, choose, other_destinations

UID = os.geteuid()


def test_the_default_is_the_users_state_directory_then_the_temporary_directory() -> None:
    home, temporary = candidates(Settings(), {"HOME": "/home/me"})
    assert home == Path("/home/me/.local/state/blogauto-otel/blogauto-backend.development")
    assert temporary == Path(f"/tmp/blogauto-otel-{UID}-blogauto-backend.development")


def test_the_usual_environment_variables_change_it() -> None:
    environ = {"XDG_STATE_HOME": "/var/state", "TMPDIR": "/var/tmp", "HOME": "/home/me"}
    home, temporary = candidates(Settings(service_name="shop", environment="production"), environ)
    assert home == Path("/var/state/blogauto-otel/shop.production")
    assert temporary == Path(f"/var/tmp/blogauto-otel-{UID}-shop.production")


def test_a_relative_state_home_is_ignored() -> None:
    home, _ = candidates(Settings(), {"XDG_STATE_HOME": "state", "HOME": "/home/me"})
    assert str(home).startswith("/home/me/.local/state/")


def test_a_configured_directory_is_the_only_candidate(tmp_path: Path) -> None:
    assert candidates(Settings(spool_dir=str(tmp_path)), {}) == [tmp_path / "blogauto-backend.development"]


def test_a_user_without_a_home_has_the_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    assert [str(path) for path in candidates(Settings(), {})] == [
        f"/tmp/blogauto-otel-{UID}-blogauto-backend.development"
    ]


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".hidden", "한국", "x" * 500, "a\0b", ""])
def test_any_service_name_gives_one_safe_directory_of_its_own(name: str) -> None:
    own = candidates(Settings(service_name=name, spool_dir="/spool"), {})[0]
    assert own.parent == Path("/spool")
    assert not own.name.startswith(".")
    assert len(own.name) < 120
    others = {candidates(Settings(service_name=other, spool_dir="/spool"), {})[0] for other in ("a_b", "__", "x" * 499)}
    assert own not in others


def test_two_environments_have_two_directories() -> None:
    staging, production = (
        candidates(Settings(environment=name, spool_dir="/spool"), {})[0] for name in ("staging", "production")
    )
    assert staging != production


def directory_of(**settings: Any) -> Path:
    return candidates(Settings(spool_dir="/spool", **settings), {})[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "https://otlp.example"},
        {"traces_endpoint": "https://otlp.example/v1/traces"},
        {"headers": {"X-Scope-OrgID": "one"}},
        {"logs_headers": {"X-Scope-OrgID": "one"}},
        {"endpoint": "http://user:secret@localhost:4318"},
    ],
    ids=str,
)
def test_deployments_of_one_service_with_other_receivers_or_tenants_do_not_deliver_each_others(
    settings: dict[str, Any],
) -> None:
    own = directory_of(**settings)
    assert own != directory_of()
    assert own == directory_of(**settings)
    assert "secret" not in str(own)
    changed = {key: {"X-Scope-OrgID": "two"} if isinstance(value, dict) else value for key, value in settings.items()}
    assert (directory_of(**changed) != own) == (changed != settings)


def test_a_local_collector_without_headers_has_the_directory_without_a_hash() -> None:
    assert (
        directory_of(endpoint="http://127.0.0.1:4317") == directory_of() == Path("/spool/blogauto-backend.development")
    )


def test_correcting_port_path_or_scheme_of_the_endpoint_leaves_no_stored_request_behind() -> None:
    urls = ("https://otlp.example:4318", "https://otlp.example:4317", "http://otlp.example/otlp")
    assert len({directory_of(endpoint=url) for url in urls}) == 1


def test_a_directory_belongs_to_one_service_alone() -> None:
    for settings in ({}, {"endpoint": "https://otlp.example"}, {"environment": "prod.eu"}):
        mine, others = (
            directory_of(service_name="shop", **settings),
            directory_of(service_name="shop.admin", **settings),
        )
        assert belongs_to(mine, "shop")
        assert belongs_to(others, "shop.admin")
        assert not belongs_to(others, "shop")
    assert directory_of(service_name="shop", environment="admin.x") != directory_of(
        service_name="shop.admin", environment="x"
    )


def test_directories_of_the_same_service_for_other_destinations_are_found(tmp_path: Path) -> None:
    own = tmp_path / "shop.production+0badcafe"
    for name in ("shop.production", "shop.production+deadbeef", "shop.staging", own.name):
        (tmp_path / name).mkdir()
    assert [path.name for path in other_destinations(own)] == ["shop.production", "shop.production+deadbeef"]
    assert other_destinations(tmp_path / "missing" / "shop.production") == ()


def test_the_first_directory_that_can_be_created_is_chosen(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    good = tmp_path / "a" / "b"
    assert choose([occupied / "below", good, tmp_path / "c"]) == good
    assert not good.exists()


def test_a_directory_of_another_user_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    assert choose([mine, tmp_path / "other"]) == mine
    monkeypatch.setattr(os, "geteuid", lambda: UID + 1)
    assert choose([mine, tmp_path / "other"]) == tmp_path / "other"


def test_a_link_or_a_file_is_skipped(tmp_path: Path) -> None:
    linked, dangling, program = tmp_path / "linked", tmp_path / "dangling", tmp_path / "program"
    linked.symlink_to(tmp_path)
    dangling.symlink_to(tmp_path / "nothing")
    program.touch(0o700)
    assert choose([linked, dangling, program, tmp_path / "other"]) == tmp_path / "other"


def test_when_none_is_writable_the_first_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert choose([tmp_path / "a", tmp_path / "b"]) == tmp_path / "a"
