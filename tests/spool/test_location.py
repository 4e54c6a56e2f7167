"""Where the spool is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blogauto_otel.config import Settings
from blogauto_otel.spool.location import candidates, choose

UID = os.geteuid()


def test_by_default_it_is_the_users_state_and_then_the_temporary_directory() -> None:
    home, temporary = candidates(Settings(), {"HOME": "/home/me"})
    assert home == Path("/home/me/.local/state/blogauto-otel/blogauto-backend.development")
    assert temporary == Path(f"/tmp/blogauto-otel-{UID}-blogauto-backend.development")


def test_the_usual_variables_move_it() -> None:
    environ = {"XDG_STATE_HOME": "/var/state", "TMPDIR": "/var/tmp", "HOME": "/home/me"}
    home, temporary = candidates(Settings(service_name="shop", environment="production"), environ)
    assert home == Path("/var/state/blogauto-otel/shop.production")
    assert temporary == Path(f"/var/tmp/blogauto-otel-{UID}-shop.production")


def test_a_relative_state_home_does_not_count() -> None:
    home, _ = candidates(Settings(), {"XDG_STATE_HOME": "state", "HOME": "/home/me"})
    assert str(home).startswith("/home/me/.local/state/")


def test_the_setting_is_the_only_place_when_there_is_one(tmp_path: Path) -> None:
    assert candidates(Settings(spool_dir=str(tmp_path)), {}) == [tmp_path / "blogauto-backend.development"]


def test_a_user_without_a_home_has_the_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    assert [str(place) for place in candidates(Settings(), {})] == [
        f"/tmp/blogauto-otel-{UID}-blogauto-backend.development"
    ]


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".hidden", "한국", "x" * 500, "a\0b", ""])
def test_any_service_name_makes_one_harmless_directory_of_its_own(name: str) -> None:
    own = candidates(Settings(service_name=name, spool_dir="/spool"), {})[0]
    assert own.parent == Path("/spool")
    assert not own.name.startswith(".")
    assert len(own.name) < 120
    others = {candidates(Settings(service_name=other, spool_dir="/spool"), {})[0] for other in ("a_b", "__", "x" * 499)}
    assert own not in others


def test_two_environments_do_not_deliver_each_others() -> None:
    staging, production = (
        candidates(Settings(environment=name, spool_dir="/spool"), {})[0] for name in ("staging", "production")
    )
    assert staging != production


def test_the_first_place_that_can_be_made_is_taken(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    good = tmp_path / "a" / "b"
    assert choose([occupied / "below", good, tmp_path / "c"]) == good
    assert not good.exists()


def test_a_place_that_is_somebody_elses_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    assert choose([mine, tmp_path / "other"]) == mine
    monkeypatch.setattr(os, "geteuid", lambda: UID + 1)
    assert choose([mine, tmp_path / "other"]) == tmp_path / "other"


def test_a_place_that_is_no_directory_or_a_link_to_one_is_passed_by(tmp_path: Path) -> None:
    linked, dangling, program = tmp_path / "linked", tmp_path / "dangling", tmp_path / "program"
    linked.symlink_to(tmp_path)
    dangling.symlink_to(tmp_path / "nothing")
    program.touch(0o700)
    assert choose([linked, dangling, program, tmp_path / "other"]) == tmp_path / "other"


def test_where_none_can_be_the_first_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert choose([tmp_path / "a", tmp_path / "b"]) == tmp_path / "a"
