"""`blogauto-otel monitoring` writes from templates what the generator writes for the same service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from blogauto_otel.cli import main, templates
from monitoring.boards.all import boards as built
from monitoring.generate import ROOT, rules
from monitoring.languages import LANGUAGES
from monitoring.package_files import FOLDER
from monitoring.parameters import BLOGAUTO, Service, Thresholds
from monitoring.repository_files import repository_files
from monitoring.rule_files import rule_files
from monitoring.runbooks import runbooks
from monitoring.verification import promtool
from stack.processes import Programs
from testkit.environments import environment as clean_environment
from testkit.environments import install

DATA = ROOT / FOLDER

# Each threshold half as high again: nothing of the defaults can remain unnoticed.
SHOP = replace(
    BLOGAUTO.named("shop"),
    grafana_url="https://grafana.example",
    runbooks_url="https://grafana.example/public/runbooks",
    content_endpoints="/api/orders.*",
    thresholds=Thresholds(**{name: value * 1.5 for name, value in asdict(BLOGAUTO.thresholds).items()}),
)


def write(folder: Path, *arguments: str, service: Service = SHOP) -> Mapping[str, str]:
    """The files that the command writes, by their path."""
    settings = [f"--set={name}={value}" for name, value in asdict(service.thresholds).items()]
    settings += [f"--set=content_endpoints={service.content_endpoints}"]
    names = ("--namespace", service.namespace, "--grafana", service.grafana_url)
    assert main(["monitoring", *names, "--out", str(folder), *settings, *arguments]) == 0
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def compact(text: str) -> str:
    """Without white space and notes: a name's length decides where a long query is broken."""
    return re.sub(r"\s+", "", re.sub(r"^(#|<!--).*$", "", text, flags=re.MULTILINE))


def test_the_boards_are_those_of_the_generator(tmp_path: Path) -> None:
    written = write(tmp_path)
    for uid, board in built(SHOP).items():
        expected = json.loads(json.dumps(board).replace('"blogauto-', '"shop-'))  # the uids of the data sources
        assert json.loads(written[f"grafana/dashboards/{uid}.json"]) == expected


def test_the_rules_are_those_of_the_generator(tmp_path: Path) -> None:
    written = write(tmp_path)
    for name, text in rules(SHOP).items():
        assert parsed_rules(written[f"prometheus/rules/{name}"]) == parsed_rules(text)


def parsed_rules(text: str) -> Any:
    document = yaml.safe_load(text)
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        rule["expr"] = compact(rule["expr"])
    return document


def test_the_runbooks_are_those_of_the_generator_without_the_commands_of_the_example(tmp_path: Path) -> None:
    written = write(tmp_path)
    pages = runbooks(SHOP, rule_files(SHOP))
    assert {name.removeprefix("runbooks/") for name in written if name.startswith("runbooks/")} == set(pages)
    for name, page in pages.items():
        applicable = re.sub(r"^## Trigger it\n.*?(?=^## )", "", page, flags=re.MULTILINE | re.DOTALL)
        assert compact(written[f"runbooks/{name}"]) == compact(applicable)
        assert "examples.traffic" not in written[f"runbooks/{name}"]


def test_nothing_names_blogauto_except_the_sdk(tmp_path: Path) -> None:
    for name, text in write(tmp_path).items():
        rest = re.sub(
            r"blogauto[_-]otel|blogauto\.(sampling|client_left|redelivered|truncated)", "", text, flags=re.IGNORECASE
        )
        assert "blogauto" not in rest.lower(), name
        assert "%{" not in text, name
        assert "python -m monitoring" not in text, name


def test_the_provisioning_files_and_alertmanager_are_yaml(tmp_path: Path) -> None:
    written = write(tmp_path)
    sources = yaml.safe_load(written["grafana/provisioning/datasources/shop.yaml"])["datasources"]
    assert {one["uid"] for one in sources} == {
        f"shop-{kind}" for kind in ("prometheus", "loki", "jaeger", "alertmanager")
    }
    assert yaml.safe_load(written["grafana/provisioning/dashboards/shop.yaml"])["providers"][0]["folder"] == "Shop"
    assert yaml.safe_load(written["alertmanager/alertmanager.yml"])["route"]["receiver"] == "team"


@pytest.mark.stack
@pytest.mark.parametrize("language", LANGUAGES)
def test_promtool_and_amtool_accept_the_files(language: str, tmp_path: Path, programs: Programs) -> None:
    write(tmp_path, "--language", language)
    promtool.check_rules(programs.promtool, sorted((tmp_path / "prometheus/rules").glob("*.yml")))
    command = [str(programs.amtool), "check-config", str(tmp_path / "alertmanager/alertmanager.yml")]
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.stack
@pytest.mark.slow
def test_the_installed_wheel_writes_the_same_without_the_repository(tmp_path: Path, programs: Programs) -> None:
    """In an environment with the package's own dependencies only, and in a folder elsewhere."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    python = clean_environment("monitoring")
    install(python, "--force-reinstall", *map(str, tmp_path.glob("*.whl")))
    command = [str(python.with_name("blogauto-otel")), "monitoring", "--namespace", "shop", "--language", "ko"]
    subprocess.run([*command, "--out", "there"], cwd=tmp_path, env={}, check=True, capture_output=True)

    assert main(["monitoring", "--namespace", "shop", "--language", "ko", "--out", str(tmp_path / "here")]) == 0
    here, there = (
        {path.relative_to(tmp_path / name): path.read_text() for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("here", "there")
    )
    assert there == here
    promtool.check_rules(programs.promtool, sorted((tmp_path / "there/prometheus/rules").glob("*.yml")))
    assert "응답 시간" in (tmp_path / "there/grafana/dashboards/shop-api.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--namespace", "My Shop"], "--namespace My Shop is not a prefix of metrics"),
        (["--language", "xx"], "--language xx is not available; there is en, ko"),
        (["--set", "p95=1"], "there is no p95; known are ai_budget_burn"),
        (["--set", "p95_seconds=fast"], "not a number, such as 2"),
        (["--set", 'content_endpoints="}'], "not a pattern of paths"),
        (["--title", 'a "shop"'], "contains a quote"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--namespace", "shop", "--out", str(tmp_path / "out"), *arguments]
    assert main(["monitoring", *given]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_committed_templates_are_what_the_code_writes() -> None:
    differing = [path for path, text in repository_files().items() if (ROOT / path).read_text() != text]
    assert differing == [], "run `python -m monitoring generate`"


# --- another language: a table of texts, looked up as the templates have them


def every_text(data: Path) -> set[str]:
    documents = [json.loads(path.read_text()) for path in (data / "boards").glob("*.json")]
    found = {holder[key] for document in documents for holder, key in templates.board_texts(document)}
    return found | {text for path in (data / "rules").glob("*.yml") for text in templates.rule_texts(path.read_text())}


def texts_of(document: Any) -> list[str]:
    return [holder[key] for holder, key in templates.board_texts(document)]


def test_a_language_is_a_file_of_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    (data / "languages" / "xx").mkdir(parents=True)
    (data / "languages" / "xx.json").write_text(json.dumps({text: f"«{text}»" for text in every_text(DATA)}))
    (data / "languages" / "xx" / "HighCpuUsage.md").write_text("# xx %{namespace} %{cpu_percent}\n")
    monkeypatch.setattr("blogauto_otel.cli.monitoring.FOLDER", str(data))

    written = write(tmp_path / "out", "--language", "xx", service=BLOGAUTO.named("shop"))

    for name, text in written.items():
        if name.startswith("grafana/dashboards"):
            assert [one for one in texts_of(json.loads(text)) if one and not one.startswith("«")] == []
    assert "summary: '«{{ $labels.endpoint }} is slow.»'" in written["prometheus/rules/shop.yml"]
    assert "the limit is 2 s.»'" in written["prometheus/rules/shop.yml"]
    assert written["runbooks/HighCpuUsage.md"] == "# xx shop 80\n"


def test_what_panels_are_called_and_what_refers_to_it_are_translated_alike(
    boards: Mapping[str, dict[str, Any]],
) -> None:
    table = {text: f"«{text}»" for text in every_text(DATA)}
    for board in boards.values():
        translated = json.loads(templates.board(json.dumps(board), {}, table))
        for before, after in zip(texts_of(board), texts_of(translated), strict=True):
            assert after in {before, f"«{before}»"}
        for panel in translated["panels"]:
            names = {
                value
                for one in panel.get("transformations", [])
                for value in one.get("options", {}).get("renameByName", {}).values()
            }
            for override in panel.get("fieldConfig", {}).get("overrides", []):
                if names:
                    assert override["matcher"]["options"] in names
