"""Boards, alerts and runbooks in another language: every text is translated, and nothing else differs from English."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from blogauto_otel.cli import main, templates
from monitoring.generate import DASHBOARDS, ROOT, RULES, RUNBOOKS
from monitoring.languages import LANGUAGES, TRANSLATED, has_words, table
from monitoring.package_files import FOLDER
from monitoring.parameters import BLOGAUTO
from monitoring.repository_files import files_in
from monitoring.rules.model import RuleFile
from monitoring.runbooks import runbooks

DATA = ROOT / FOLDER
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
HANGUL = re.compile(r"[가-힣]")
# Looked up, but no words of a language: the code of a rule's windows, and values of labels.
KEPT = re.compile(r"%\{[^}]*\}|\{\{.*?\}\}|`[^`]*`|\]\([^)]*\)|https?://[^\s)]+|\{\w+\}")


def board_texts() -> set[str]:
    documents = [json.loads(path.read_text()) for path in sorted((DATA / "boards").glob("*.json"))]
    return {holder[key] for document in documents for holder, key in templates.board_texts(document)}


def alert_texts() -> set[str]:
    return {text for path in sorted((DATA / "rules").glob("*.yml")) for text in templates.rule_texts(path.read_text())}


def runbook_texts(files: tuple[RuleFile, RuleFile]) -> set[str]:
    asked: set[str] = set()

    def record(text: str) -> str:
        asked.add(text)
        return text

    runbooks(BLOGAUTO, files, record)
    return asked


def problems(texts: Mapping[str, set[str]], sections: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What is wrong with a table of translations."""
    for section, wanted in texts.items():
        translated = sections[section]
        needed = {text for text in wanted if has_words(text)}
        yield from (f"{section}: not translated: {text}" for text in sorted(needed - set(translated)))
        yield from (f"{section}: no longer in English: {text}" for text in sorted(set(translated) - needed))
        for english, other in translated.items():
            if Counter(KEPT.findall(english)) != Counter(KEPT.findall(other)):
                yield f"{section}: code, links or placeholders differ: {english} | {other}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_and_every_translation_has_its_english(
    language: str, files: tuple[RuleFile, RuleFile]
) -> None:
    texts = {"boards": board_texts(), "alerts": alert_texts(), "runbooks": runbook_texts(files)}
    assert list(problems(texts, table(language))) == []


def test_a_missing_a_stale_and_a_broken_translation_are_found() -> None:
    texts = {"alerts": {"{{ $labels.job }} is slow.", "Redis is down."}}
    found = list(problems(texts, {"alerts": {"{{ $labels.job }} is slow.": "느립니다.", "Gone.": "없습니다."}}))
    assert [problem.split(":")[1].strip() for problem in found] == [
        "not translated",
        "no longer in English",
        "code, links or placeholders differ",
    ]


def test_korean_texts_are_korean() -> None:
    """Except names that stand for themselves, such as p95, Redis and 5xx."""
    same = {text for section in table("ko").values() for text, other in section.items() if not HANGUL.search(other)}
    assert {text for text in same if " " in text} == set()
    assert len(same) < 30


@pytest.mark.parametrize("language", TRANSLATED)
def test_boards_differ_only_in_texts(language: str) -> None:
    for english, other in pairs(language, DASHBOARDS):
        assert without_texts(json.loads(other)) == without_texts(json.loads(english))


@pytest.mark.parametrize("language", TRANSLATED)
def test_rules_differ_only_in_texts_and_link_to_pages_of_their_language(language: str) -> None:
    for english, other in pairs(language, RULES):
        for before, after in zip(rules_of(english), rules_of(other), strict=True):
            texts, translated = before.pop("annotations", {}), after.pop("annotations", {})
            assert after == before
            assert texts.keys() == translated.keys()
            if texts:
                assert translated["runbook_url"] == texts["runbook_url"].replace(".md", f".{language}.md")
                assert (ROOT / RUNBOOKS / translated["runbook_url"].rsplit("/", 1)[1]).is_file()
                assert translated["dashboard_url"] == texts["dashboard_url"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_runbooks_have_the_same_queries_commands_and_links(language: str) -> None:
    for english, other in pairs(language, RUNBOOKS):
        assert FENCED.findall(other) == FENCED.findall(english)
        linked = [f"{name}.{language}" for name in re.findall(r"\]\((\w+)\.md\)", english)]
        assert sorted(re.findall(r"\]\((\w+\.\w+)\.md\)", other)) == sorted(linked)
        assert [line.count("|") for line in other.splitlines()] == [line.count("|") for line in english.splitlines()]


def test_the_table_of_alerts_links_to_runbooks_of_its_language() -> None:
    for language, name in (("en", "${__value.raw}.md"), ("ko", "${__value.raw}.ko.md")):
        assert f"/public/runbooks/{name}" in files_in(language)[f"{DASHBOARDS}/{language}/blogauto-overview.json"]


def test_compose_mounts_the_rules_and_boards_of_the_chosen_language() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    chosen = "${MONITORING_LANGUAGE:-en}"
    assert f"./{RULES}/{chosen}:/etc/prometheus/rules:ro" in services["prometheus"]["volumes"]
    assert f"./{DASHBOARDS}/{chosen}:/etc/grafana/dashboards:ro" in services["grafana"]["volumes"]
    assert {path.name for path in (ROOT / RULES).iterdir()} == set(LANGUAGES)
    assert {path.name for path in (ROOT / DASHBOARDS).iterdir()} == set(LANGUAGES)


def test_the_command_writes_another_service_in_korean(tmp_path: Path) -> None:
    arguments = ["--namespace", "shop", "--language", "ko", "--set", "p95_seconds=1.5", "--out", str(tmp_path)]
    assert main(["monitoring", *arguments]) == 0
    board = json.loads((tmp_path / "grafana/dashboards/shop-api.json").read_text())
    assert board["title"] == "Shop / API 성능"
    rules = (tmp_path / "prometheus/rules/shop.yml").read_text()
    assert "한도는 1.5 s입니다.'" in rules
    page = (tmp_path / "runbooks/HighApiResponseTime.md").read_text()
    assert "## 조치" in page
    assert "1.5 s를 넘었으며" in page
    assert "[HighCpuUsage](HighCpuUsage.md)" in page
    assert "## 재현" not in page  # only the example can


def pairs(language: str, folder: str) -> Iterator[tuple[str, str]]:
    """Each English file below the folder, and the same in the other language."""
    english = {path: text for path, text in files_in("en").items() if path.startswith(folder)}
    other = {path: text for path, text in files_in(language).items() if path.startswith(folder)}
    assert len(english) == len(other) > 0
    for path, text in english.items():
        name = Path(path)
        beside = f"{folder}/{name.stem}.{language}.md" if folder == RUNBOOKS else f"{folder}/{language}/{name.name}"
        yield text, other[beside]


def without_texts(board: dict[str, Any]) -> dict[str, Any]:
    for holder, key in templates.board_texts(board):
        holder[key] = ""
    return json.loads(re.sub(r"(/runbooks/[^/\"]+?)\.\w\w\.md", r"\1.md", json.dumps(board)))  # type: ignore[no-any-return]


def rules_of(text: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load(text)["groups"]
    return [{**rule, "expr": re.sub(r"\s+", "", rule["expr"])} for group in groups for rule in group["rules"]]
