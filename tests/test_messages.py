"""Log lines and commands in Korean: who chooses, and that every text of the commands has a translation."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import blogauto_otel
from blogauto_otel import _messages
from blogauto_otel._guard import log_once
from blogauto_otel._messages import KOREAN, command_text, set_language
from testkit.ports import free_port
from testkit.processes import environment, python

PACKAGE = Path(blogauto_otel.__file__).parent
HANGUL = re.compile(r"[가-힣]")

# Translated, and passed on by a variable: nouns and units of figures, and states of spool files.
FIGURES = {"{count} file", "{count} files", "{count} item", "{count} items", "{count} h", "{count} min"}
STATES = {"waiting", "claimed", "unfinished", "quarantined"}


# --- who chooses


@pytest.mark.parametrize(
    ("environ", "is_korean"),
    [
        ({}, False),
        ({"LANG": "ko_KR.UTF-8"}, True),
        ({"LANG": "ko.UTF-8"}, True),
        ({"LANG": "kok_IN.UTF-8"}, False),  # Konkani
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR.UTF-8"}, True),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": ""}, True),
        ({"LANG": "ko_KR.UTF-8", "BLOGAUTO_OTEL_LANGUAGE": "en"}, False),
        ({"LANG": "C", "BLOGAUTO_OTEL_LANGUAGE": "ko"}, True),
        ({"LANG": "ko_KR.UTF-8", "BLOGAUTO_OTEL_LANGUAGE": "auto"}, True),
    ],
)
def test_commands_follow_the_locale_unless_the_variable_is_set(environ: Mapping[str, str], is_korean: bool) -> None:
    assert (command_text("no answer", environ) == "응답 없음") is is_korean


def log_of(**variables: str) -> str:
    """What an application logs whose Collector is away."""
    script = "import blogauto_otel; blogauto_otel.configure(under_test='export', spool_dir='off').force_flush(2.0)"
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_SERVICE_NAME": "shop"}
    done = subprocess.run(
        python("-c", script), capture_output=True, text=True, encoding="utf-8", timeout=60,
        env=environment(**where, **variables, LC_ALL="ko_KR.UTF-8", PYTHONIOENCODING="utf-8"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def test_log_lines_are_english_whatever_the_locale_is() -> None:
    log = log_of()
    assert "cannot deliver telemetry to http://127.0.0.1:" in log
    assert HANGUL.search(log) is None


@pytest.mark.parametrize("language", ["ko", "auto"])
def test_log_lines_are_korean_by_setting(language: str) -> None:
    log = log_of(BLOGAUTO_OTEL_LANGUAGE=language)
    assert "shop (development): traces, metrics, logs → http://127.0.0.1:" in log
    assert "켜짐: " in log
    assert "텔레메트리 전송 실패(http://127.0.0.1:" in log
    assert "보관하고 다시 시도합니다" in log
    assert "그 주소에서 Collector를 시작하거나" in log


def test_values_of_the_application_are_not_translated(caplog: pytest.LogCaptureFixture) -> None:
    set_language("ko")
    log_once("a key", "%s are being lost: %s", "traces", "queue_full")
    assert "traces 유실이 시작되었습니다: queue_full" in caplog.text
    _messages.state.reset()


def test_a_command_speaks_korean() -> None:
    port = free_port()
    variables = {"LC_ALL": "ko_KR.UTF-8", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    done = subprocess.run(
        python("-m", "blogauto_otel", "check"),
        capture_output=True, text=True, encoding="utf-8", timeout=60,
        env=environment(**variables, PYTHONIOENCODING="utf-8"),
    )  # fmt: skip
    assert done.returncode == 1
    assert "수락되지 않음: " in done.stdout
    assert done.stderr == "수락되지 않음\n"


def test_a_command_speaks_english_where_korean_cannot_be_printed() -> None:
    variables = {"LC_ALL": "ko_KR.UTF-8", "PYTHONIOENCODING": "latin-1", "BLOGAUTO_OTEL_SPOOL_DIR": "off"}
    done = subprocess.run(
        python("-m", "blogauto_otel", "spool"), capture_output=True, text=True, timeout=60, env=environment(**variables)
    )
    assert done.stdout == "off: what cannot be sent waits in memory only\n"


# --- the table


def test_a_translation_is_korean_and_keeps_the_placeholders() -> None:
    for english, korean in KOREAN.items():
        fields = re.findall(r"\{[a-z_]+(?::\w+)?\}", english)
        assert Counter(re.findall(r"\{[a-z_]+(?::\w+)?\}", korean)) == Counter(fields), english
        assert re.findall(r"%[sd]|%\.\df", korean) == re.findall(r"%[sd]|%\.\df", english), english
        assert HANGUL.search(korean) or english == "%s to %s", english


def test_every_text_of_the_commands_is_translated() -> None:
    texts = set(command_texts()) | FIGURES | STATES
    assert sorted(texts - set(KOREAN)) == []


def test_no_command_prints_a_sentence_past_the_table() -> None:
    found = [
        f"{path.name}: {text}"
        for path in commands()
        for text in literals(ast.parse(path.read_text()))
        if is_sentence(text) and text not in KOREAN and text not in KOREAN.values()
    ]
    assert sorted(set(found) - NOT_PROSE) == []


def test_every_translation_is_used() -> None:
    used = {text for path in PACKAGE.rglob("*.py") if path.name != "_messages.py" for text in all_literals(path)}
    assert sorted(set(KOREAN) - used - FIGURES - STATES) == []


# Sentences that stay English: descriptions of the options (docs/settings.md has them), names of hops, and formats.
NOT_PROSE = {
    *(
        f"{module}.py: {hop}"
        for module, hops in {
            "application": ("metrics page",),
            "backends": ("prometheus targets",),
            "server": ("collector queues",),
            "collector": ("collector ", "collector queues", "delivery "),
        }.items()
        for hop in hops
    ),
    "application.py: Bearer ",
    "application.py: blogauto-otel doctor",
    "backends.py: Bearer ",
    "backends.py: Sentry sentry_version=7, sentry_client=blogauto-otel-doctor/1, sentry_key=",
    "backends.py: blogauto-otel doctor",
    "collector.py: 4318 for http/protobuf, 4317 for grpc",
    "collector.py: HTTPS server",  # of an answer of Go
    "dev.py:   blogauto-otel ",
    "dev.py:  (--port ",
    "dev.py: blogauto-otel dev:",
    "dev.py: blogauto-otel dev: ",
    *(f"dev.py: inspector {thread}" for thread in ("agent", "silence", "terminal")),
    "dev.py: pip install 'blogauto_otel[dev]'",
    "dev.py: dev -- uvicorn main:app --reload",
    "dev.py: dev --mcp -- uvicorn main:app",
    "local.py: , OpenTelemetry API ",
    "local.py:  beside ",
    "local.py:  with SDK ",
    "local.py: Python ",
    "local.py: pip install 'blogauto_otel[",
    "local.py: pip install opentelemetry-api opentelemetry-sdk",
    "settings.py: In ",
    "__init__.py: blogauto-otel ",
    "check.py: blogauto-otel check",  # the name of a span
    "monitoring.py: blogauto-otel monitoring: ",
}


def commands() -> list[Path]:
    """The modules of the commands."""
    folder = PACKAGE / "cli"
    return [path for path in (*folder.glob("*.py"), *folder.glob("doctor/*.py")) if path.name != "templates.py"]


def command_texts() -> Iterator[str]:
    """What is passed to `message`, where it is written there."""
    for path in commands():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "message":
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def literals(tree: ast.AST) -> Iterator[str]:
    """Texts of a module without docstrings; of an f-string, its parts."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def all_literals(path: Path) -> set[str]:
    return set(literals(ast.parse(path.read_text(encoding="utf-8"))))


def is_sentence(text: str) -> bool:
    return (
        re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", text) is not None
        or re.search(r"[a-z]{2,} $|^ [a-z]{2,}", text) is not None
    )
