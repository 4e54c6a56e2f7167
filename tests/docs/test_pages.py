"""The pages are correct: their examples run, their links exist, and so does every name in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blogauto_otel import cli
from blogauto_otel.api.catalogue import CATALOGUE
from blogauto_otel.config import variables
from blogauto_otel.testing import capture_telemetry
from testkit.ports import free_port
from testkit.processes import running
from tools import demo_picture, metrics_table, module_table

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"docs/settings.md", "docs/telemetry.md"}
PAGES = (
    "README.md",
    "README.ko.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted({f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - GENERATED),
)
KOREAN_PAGES = tuple(page for page in PAGES if page.endswith(".ko.md"))
MAX_README_WORDS = 900
MAX_GLOSSARY_WORDS = 30

# The calls of the former module (docs/moving-over.md says what replaces each).
FORMER_CALLS = (
    "monitoring.initialize_sentry",
    "monitoring.prometheus_middleware",
    "monitoring.track_business_metric",
    "monitoring.track_rate_limit_rejection",
    "monitoring.update_blocked_ips_count",
    "monitoring.start_system_monitoring",
    "monitoring.stop_system_monitoring",
    "monitoring.get_metrics",
    "metrics_endpoint",
    "monitoring.create_metric_decorator",
    "monitoring.add_custom_metric",
    "monitoring.track_operation",
    "health_check_detailed",
)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of that language, without the indentation of a list they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text_of(page), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def python_blocks() -> Iterator[object]:
    for page in PAGES:
        for number, block in enumerate(blocks(page, "python")):
            yield pytest.param(page, block, id=f"{page}-{number + 1}")


@pytest.mark.parametrize(("page", "block"), list(python_blocks()))
def test_an_example_of_a_page_runs(page: str, block: str) -> None:
    if "os._exit(" in block:  # it ends its process
        done = subprocess.run(
            [sys.executable, "-c", block], env={**os.environ, "OTEL_SDK_DISABLED": "true"}, check=False
        )
        assert done.returncode == 0
        return
    with capture_telemetry():
        exec(compile(block, page, "exec"), {"__name__": "example"})


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["opentelemetry-instrument"]], ids=["call", "launcher"])
def test_the_five_minutes_work_as_they_stand(launcher: list[str], tmp_path: Path) -> None:
    (application,) = (block for block in blocks("README.md", "python") if "FastAPI()" in block)
    (tmp_path / "main.py").write_text(application)
    port = free_port()
    words = [*launcher, "uvicorn", "main:app"]
    command = [str(Path(sys.executable).with_name(word)) if ":" not in word else word for word in words]
    with running([*command, "--port", str(port), "--app-dir", str(tmp_path)], tmp_path / "log", port=port) as child:
        child.wait_until_it_answers("/posts/1")
        status, page = child.get("/metrics")
    assert status == 200
    assert b'blogauto_api_requests_total{endpoint="/posts/{post_id}",method="GET",status="200"' in page
    assert "traces, metrics, logs to http://localhost:4318; on: " in child.output


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_of_the_repository(page: str) -> None:
    links = re.findall(r"\]\(([^)#][^)]*)\)", text_of(page))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    missing = [link for link in local if not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_files_named_on_a_page_exist(page: str) -> None:
    spans = re.findall(r"`([^`\n]+)`", text_of(page)) + [word for b in blocks(page, "bash") for word in b.split()]
    files = {span for span in spans if re.fullmatch(r"\.env\.example|(?!https?:)[\w./-]+\.(ya?ml|md|toml)", span)}
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_within_a_page_lead_to_its_headings(page: str) -> None:
    text = text_of(page)
    anchors = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in headings(text)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


@pytest.mark.parametrize("page", PAGES)
def test_variables_of_a_page_are_settings(page: str) -> None:
    named = set(re.findall(r"\b(?:BLOGAUTO_OTEL|OTEL|SENTRY)_[A-Z_]+[A-Z]\b", text_of(page)))
    known = {*variables.OF_SETTINGS, *variables.READ_ELSEWHERE, *variables.NOT_SUPPORTED}
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_series_of_a_page_are_in_the_catalogue_or_declared_on_it(page: str) -> None:
    text = text_of(page)
    declared = {
        f"blogauto_{name.replace('.', '_')}_total" for name in re.findall(r'@metrics\.counter\("([\w.]+)"', text)
    }
    known = {metric.prometheus_name("blogauto") for metric in CATALOGUE} | declared
    assert set(re.findall(r"\bblogauto_(?!otel)[a-z_]+[a-z]\b", text)) - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_of_a_page_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    commands = [line for block in blocks(page, "bash") for line in block.splitlines()]
    commands += re.findall(r"`(make [^`]*)`", text_of(page))
    asked = {words[1] for words in map(str.split, commands) if words[:1] == ["make"] and len(words) > 1}
    assert asked - targets == set()


@pytest.mark.parametrize("page", PAGES)
def test_subcommands_of_a_page_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in sorted(set(re.findall(r"blogauto-otel ([a-z]+)\b", text_of(page)))):
        with pytest.raises(SystemExit) as ending:
            cli.main([command, "--help"])
        assert ending.value.code == 0, command


@pytest.mark.parametrize("page", metrics_table.HEADINGS)
def test_the_table_of_metrics_is_that_of_the_catalogue(page: str) -> None:
    assert metrics_table.rendered(page, text_of(page)) == text_of(page), "run python -m tools.metrics_table"


def test_the_table_of_modules_is_that_of_the_docstrings() -> None:
    page = "docs/architecture.md"
    assert module_table.rendered(text_of(page)) == text_of(page), "run python -m tools.module_table"


def test_every_module_is_in_a_layer_of_the_table() -> None:
    listed = set(re.findall(r"\(\.\./blogauto_otel/([\w/]+\.py)\)", module_table.table()))
    assert listed == {path.relative_to(module_table.PACKAGE).as_posix() for path in module_table.PACKAGE.rglob("*.py")}


def test_modules_named_on_the_map_exist() -> None:
    page = text_of("docs/architecture.md").partition("## Modules")[0]
    named = set(re.findall(r"`([\w/]+\.py|[\w/]+/)`", page))
    assert [
        name for name in sorted(named) if not any((root / name).exists() for root in (ROOT, module_table.PACKAGE))
    ] == []


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").split()) <= MAX_README_WORDS


def test_the_glossary_is_short_and_sorted() -> None:
    words = re.findall(r"^\| ([^|]+) \|", text_of("docs/glossary.md"), re.MULTILINE)[1:]
    assert words == sorted(set(words))
    assert len(words) <= MAX_GLOSSARY_WORDS


def test_the_picture_of_the_demo_shows_sections_that_the_demo_has() -> None:
    code = (ROOT / "examples" / "demo.py").read_text()
    picture = demo_picture.PICTURE.read_text()
    assert all(f'"{section}' in code and section in picture for section in demo_picture.SECTIONS)


@pytest.mark.parametrize("page", KOREAN_PAGES)
def test_both_languages_have_the_same_sections_commands_and_links(page: str) -> None:
    english, korean = text_of(page.replace(".ko.md", ".md")), text_of(page)
    assert [level for level, _ in re.findall(r"^(#+) (.+)$", outside_blocks(english), re.MULTILINE)] == [
        level for level, _ in re.findall(r"^(#+) (.+)$", outside_blocks(korean), re.MULTILINE)
    ]
    for language in ("python", "bash"):
        theirs = list(map(without_comments, blocks(page, language)))
        assert theirs == list(map(without_comments, blocks(page.replace(".ko.md", ".md"), language)))
    assert links_of(english) == links_of(korean)


@pytest.mark.parametrize("page", KOREAN_PAGES)
def test_a_korean_page_links_to_korean_pages_where_they_exist(page: str) -> None:
    folder = (ROOT / page).parent
    pages = {link.partition("#")[0] for link in re.findall(r"\]\((?!#|https?:)([^)]+)\)", text_of(page))}
    korean = {link: folder / link.replace(".md", ".ko.md") for link in pages if not link.endswith(".ko.md")}
    assert {link for link, other in korean.items() if link.endswith(".md") and other.exists()} <= {
        Path(page).name.replace(".ko.md", ".md")  # the switch of languages
    }


@pytest.mark.parametrize("page", KOREAN_PAGES)
def test_a_korean_page_has_one_word_for_alert(page: str) -> None:
    assert "경보" not in text_of(page)


def test_moving_over_has_an_answer_for_every_former_call() -> None:
    text = text_of("docs/moving-over.md")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [call for call in FORMER_CALLS if not any(call in row.split("|")[1] for row in rows)] == []


DECISIONS = sorted((ROOT / "docs/decisions").glob("0*.md"))


def test_every_decision_is_in_the_index_by_its_title() -> None:
    rows = [
        re.sub(r"^# (\d+) (.*)$", rf"| [\1]({page.name}) | \2 |", page.read_text().splitlines()[0])
        for page in DECISIONS
    ]
    assert [line for line in text_of("docs/decisions/README.md").splitlines() if line.startswith("| [")] == rows


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem[:4])
def test_a_decision_has_a_status_and_a_date(page: Path) -> None:
    head = " ".join(page.read_text().splitlines()[:5])
    assert re.search(r"Status: (accepted|superseded by \d{4})\b.* Date: \d{4}-\d{2}-\d{2}", head)


def test_the_changelog_has_the_version_that_is_built() -> None:
    version = re.search(r'^version = "([^"]+)"', text_of("pyproject.toml"), re.MULTILINE)
    assert version
    assert f"## [{version[1]}]" in text_of("CHANGELOG.md")


def outside_blocks(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def links_of(text: str) -> set[str]:
    """The links of a page; those to Korean pages and pictures as the English ones."""
    found = {link.replace(".ko.", ".") for link in re.findall(r"\]\((?!#)([^)]+)\)", text)}
    return {link for link in found if not link.startswith("#")}


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", outside_blocks(text), re.MULTILINE)


def without_comments(block: str) -> str:
    return "\n".join(re.sub(r"(^| +)#.*", "", line) for line in block.splitlines())
