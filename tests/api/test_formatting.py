"""Log lines: one for each record, safe against injection, never raising, with the field names of OTLP."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from blogauto_otel import bind
from blogauto_otel.api.context import begin_request, end_request
from blogauto_otel.api.formatting import JsonFormatter, TextFormatter
from blogauto_otel.config import Settings
from blogauto_otel.redaction import build_redactor


def record(
    message: Any = "hello", *args: Any, level: int = logging.INFO, error: BaseException | None = None, **extra: Any
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.getLogger("shop").makeRecord("shop", level, __file__, 1, message, args, info, extra=extra)


def as_json(made: logging.LogRecord, **options: Any) -> dict[str, Any]:
    line = JsonFormatter(ascii_only=False, **options).format(made)
    assert "\n" not in line
    fields: dict[str, Any] = json.loads(line)
    return fields


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.fixture
def span() -> Iterator[Any]:
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("work") as current:
        yield current.get_span_context()


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_a_json_line_has_time_severity_logger_and_message() -> None:
    made = record("order %s paid", "A7", level=logging.WARNING)
    made.created = 1_764_000_000.25
    assert as_json(made) == {
        "timestamp": "2025-11-24T16:00:00.250000Z",
        "level": "WARNING",
        "logger": "shop",
        "message": "order A7 paid",
    }


def test_a_json_line_carries_trace_request_user_and_extras(span: Any) -> None:
    token = begin_request("r-1")
    bind(user_id=42)
    fields = as_json(record("paid", amount=3, tags=["a"], nested={"b": 1.5}))
    end_request(token)
    assert fields["trace_id"] == f"{span.trace_id:032x}"
    assert fields["span_id"] == f"{span.span_id:016x}"
    assert (fields["request.id"], fields["user.id"]) == ("r-1", 42)
    assert (fields["amount"], fields["tags"], fields["nested"]) == (3, ["a"], {"b": 1.5})


def test_an_extra_does_not_replace_a_field_of_the_line() -> None:
    fields = as_json(record("paid", level_="x", timestamp="never", logger="root", trace_id="f" * 32))
    assert fields["logger"] == "shop"
    assert (fields["extra.timestamp"], fields["extra.logger"]) == ("never", "root")
    # A record outside any span may name its trace itself, as records of other processes do.
    assert fields["trace_id"] == "f" * 32


def test_an_exception_is_three_fields_on_the_same_line() -> None:
    fields = as_json(record("failed", error=raised(LookupError("no\nsuch post"))))
    assert fields["exception.type"] == "LookupError"
    assert fields["exception.message"] == "no\nsuch post"
    assert fields["exception.stacktrace"].startswith("Traceback")


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\r\nb",
        "\x1b[31mred",
        "nul\x00",
        "\x85next",
        "\u2028line",
        "\u202eright to left",
        "\x7f",
        "\x9b31m",
        "\ufeff",
    ],
    ids=ascii,
)
def test_no_text_breaks_the_line_or_moves_the_cursor(text: str) -> None:
    for made in (
        record(text),
        record("m", key=text),
        record("m", error=None, **{f"k{text}": 1}),
        record(text, error=raised(ValueError(text))),
    ):
        line = JsonFormatter(ascii_only=False).format(made)
        assert text not in line
        assert line.isprintable()
    assert as_json(record(text))["message"] == text


def test_a_lone_surrogate_is_escaped_and_korean_stays_readable() -> None:
    line = JsonFormatter(ascii_only=False).format(record("한글 \ud800 😀"))
    assert "한글" in line
    assert "\\ud800" in line
    assert "😀" in line
    line.encode("utf-8")


def test_where_stdout_is_not_unicode_the_line_is_ascii() -> None:
    line = JsonFormatter(ascii_only=True).format(record("한글 😀"))
    assert line.isascii()
    assert json.loads(line)["message"] == "한글 😀"


def test_numbers_that_json_cannot_represent_become_text() -> None:
    fields = as_json(record("m", a=float("nan"), b=[float("inf")], c=10**30))
    assert (fields["a"], fields["b"], fields["c"]) == ("nan", ["inf"], str(10**30))


def test_secrets_do_not_reach_the_line() -> None:
    redact = build_redactor(Settings())
    fields = as_json(
        record(
            "login with password=hunter22",
            error=raised(ValueError("token=abcdef123456")),
            api_key="sk-1234567890abcdef1",
        ),
        redact=redact,
    )
    line = json.dumps(fields)
    for secret in ("hunter22", "abcdef123456", "sk-1234567890abcdef1"):
        assert secret not in line
    assert "login with" in fields["message"]


def test_a_secret_cut_by_the_length_limit_is_not_printed_in_part() -> None:
    redact = build_redactor(Settings())
    for length in range(4_050, 4_110):
        fields = as_json(record(note="x" * length + " postgres://blog:hunter22hunter22@db/"), redact=redact)
        assert "hun" not in fields["note"]
        assert len(fields["note"]) <= 4_096


# --- text ------------------------------------------------------------------------------------------------------------


def as_text(made: logging.LogRecord, **options: Any) -> str:
    return TextFormatter(ascii_only=False, **options).format(made)


def test_a_text_line_has_time_level_logger_message_and_fields(span: Any) -> None:
    token = begin_request("r-1")
    line = as_text(record("order %s paid", "A7", amount=3, note="two words"))
    end_request(token)
    time, rest = line.split(" ", 1)
    assert len(time) == len("12:34:56.789")
    assert rest == (
        f'INFO     shop: order A7 paid request.id=r-1 amount=3 note="two words" trace_id={span.trace_id:032x}'
    )


def test_a_traceback_follows_indented_so_that_none_of_its_lines_looks_like_a_record() -> None:
    first, *rest = as_text(record("failed", error=raised(ValueError("x\n12:00:00.000 INFO forged\x1b[2J")))).split("\n")
    assert first.endswith("shop: failed")
    assert rest[0].strip() == "Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in "".join(rest)


@pytest.mark.parametrize("text", ["a\rb", "\x0b", "\x1b[31mred", "nul\x00", "\u2028"], ids=ascii)
def test_no_text_breaks_a_text_line(text: str) -> None:
    for made in (record(text), record("m", key=text), record("m", error=None, **{f"k{text}": 1})):
        assert as_text(made).isprintable()


def test_further_lines_of_a_message_are_indented_so_that_none_looks_like_a_record() -> None:
    line = as_text(record("SELECT a,\n\tb\r\nFROM t\n12:00:00.000 ERROR    forged: x\n", posts=3))
    first, *rest = line.split("\n")
    assert first.endswith("shop: SELECT a,")
    assert rest == ["    \tb", "    FROM t", "    12:00:00.000 ERROR    forged: x posts=3"]
    assert "\\u00" not in line


@pytest.mark.parametrize(
    "made", [record("m", key="a\nb"), record("m", error=None, **{"k\nl": 1})], ids=["value", "key"]
)
def test_only_the_message_and_the_traceback_have_further_lines(made: logging.LogRecord) -> None:
    assert "\n" not in as_text(made)
    made.name = "a\nb"
    assert "\n" not in as_text(made)


def test_a_long_logger_name_is_cut() -> None:
    made = record()
    made.name = "n" * 1_000_000
    assert len(as_text(made)) < 400


def test_colour_is_only_for_the_level() -> None:
    line = as_text(record("\x1b[0mplain", level=logging.ERROR), color=True)
    assert "\x1b[31mERROR   \x1b[0m shop: \\u001b[0mplain" in line


# --- both ------------------------------------------------------------------------------------------------------------


class BrokenRedactor:
    def text(self, value: str) -> str:
        raise RuntimeError("no")

    def value(self, key: str, value: object) -> object:
        raise RuntimeError("no")


@pytest.mark.quiet_guard
@pytest.mark.parametrize("formatter", [JsonFormatter, TextFormatter])
def test_a_record_that_cannot_be_formatted_says_so_and_does_not_raise(formatter: type[JsonFormatter]) -> None:
    line = formatter(redact=BrokenRedactor()).format(record("secret", level=logging.ERROR))
    assert line == "ERROR a log record of 'shop' that could not be written"


@pytest.mark.parametrize("formatter", [JsonFormatter, TextFormatter])
def test_formatting_leaves_the_record_as_it_was(formatter: type[JsonFormatter]) -> None:
    made = record("hello %s", "you", error=raised(ValueError("x")))
    before = dict(made.__dict__)
    formatter().format(made)
    assert made.__dict__ == before


def test_a_structlog_event_is_read_as_message_and_fields() -> None:
    fields = as_json(record({"event": "paid", "amount": 3, "level": "info", "timestamp": "t", "logger": "x"}))
    assert (fields["message"], fields["amount"]) == ("paid", 3)
    assert not [key for key in fields if key.startswith("extra.")]


def test_the_encoding_of_stdout_decides_about_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    class Latin:
        encoding = "iso-8859-1"

    monkeypatch.setattr(sys, "stdout", Latin())
    assert JsonFormatter().format(record("한글")).isascii()
    monkeypatch.setattr(sys, "stdout", None)
    assert "한글" in JsonFormatter().format(record("한글"))
