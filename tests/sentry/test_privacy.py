"""Redaction of attachments, Sentry logs and server names."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk._types import AnnotatedValue

from blogauto_otel.integrations.sentry import privacy
from testkit.envelope_receiver import EnvelopeReceiver
from tests.sentry.conftest import Link, Linked

SECRET = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"


def sent(sink: EnvelopeReceiver) -> bytes:
    return sink.bytes


@pytest.mark.parametrize(
    "attachment",
    [
        {"bytes": f"user=alice\npassword=hunter2hunter\nkey {SECRET}\n".encode(), "filename": "settings.txt"},
        {"bytes": b"harmless", "filename": f"{SECRET}.txt"},
        {"bytes": ("line\n" * 20_000 + f"key {SECRET}\n").encode(), "filename": "long.log"},
    ],
    ids=["text", "name", "long"],
)
def test_an_attachment_is_redacted(linked: Linked, log: logging.Logger, attachment: dict[str, Any]) -> None:
    with sentry_sdk.new_scope() as scope:
        scope.add_attachment(**attachment)
        log.error("it failed")
    assert linked.event.text.endswith("it failed | ")
    assert b"attachment" in sent(linked.sink)
    assert SECRET.encode() not in sent(linked.sink)
    assert b"hunter2hunter" not in sent(linked.sink)


def test_an_attachment_that_is_not_text_is_sent_as_it_is(linked: Linked, log: logging.Logger) -> None:
    with sentry_sdk.new_scope() as scope:
        scope.add_attachment(bytes=b"\x89PNG\xff\xfe\x00", filename="shot.png")
        log.error("it failed")
    assert linked.event.id
    assert b"\x89PNG\xff\xfe\x00" in sent(linked.sink)


@pytest.mark.quiet_guard
def test_an_attachment_that_cannot_be_redacted_is_not_sent_and_the_event_is(
    linked: Linked, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setitem(privacy._ITEMS, privacy.ATTACHMENT, broken)
    with sentry_sdk.new_scope() as scope:
        scope.add_attachment(bytes=b"it cannot be cleaned", filename="a.txt")
        log.error("it failed")
    assert linked.event.text.endswith("it failed | ")
    assert b"cannot be cleaned" not in sent(linked.sink)


def test_an_exception_whose_stack_is_too_deep_keeps_its_empty_stacktrace(linked: Linked) -> None:
    """Sentry's SDK sends none, and the reason for it beside the event."""
    deep = {
        "type": "RecursionError",
        "value": "too deep",
        "stacktrace": AnnotatedValue(None, {"rem": [["!config", "x"]]}),
    }
    sentry_sdk.capture_event({"exception": {"values": [deep]}})
    assert linked.event.exceptions == [{**deep, "stacktrace": None}]


def test_a_secret_in_the_server_name_does_not_leave(link: Link, log: logging.Logger) -> None:
    with link(resource_attributes={"host.name": f"web-{SECRET}"}) as linked:
        log.error("it failed")
        event = linked.event
    assert event.data["server_name"].startswith("web-[redacted:") or SECRET not in event.data["server_name"]
    assert SECRET.encode() not in sent(linked.sink)


def test_logs_that_an_application_sends_by_sentry_are_redacted(
    sink: EnvelopeReceiver, no_client: None, link: Link
) -> None:
    sentry_sdk.init(sink.dsn, default_integrations=False, auto_enabling_integrations=False, enable_logs=True)
    with link(sentry_dsn=None) as linked:
        sentry_sdk.logger.warning("paid with {key}", key=SECRET, attributes={"password": "hunter2hunter", "items": 3})
        sentry_sdk.flush(20.0)
        bodies = [item.payload["items"][0] for item in linked.sink.items if item.kind == "log"]
    (log,) = bodies
    assert SECRET not in str(log)
    assert log["attributes"]["password"]["value"] == "[redacted:password]"
    assert log["attributes"]["items"]["value"] == 3


def test_every_span_of_an_applications_large_transaction_is_sent_and_redacted(
    sink: EnvelopeReceiver, no_client: None, link: Link
) -> None:
    count = 500
    sentry_sdk.init(sink.dsn, default_integrations=False, auto_enabling_integrations=False, traces_sample_rate=1.0)
    with link(sentry_dsn=None) as linked:
        with sentry_sdk.start_transaction(name="large"):
            for number in range(count):
                with sentry_sdk.start_span(op="work", name=f"{number} {'x' * 400} {SECRET}"):
                    pass
        sentry_sdk.flush(20.0)
        (transaction,) = [item.payload for item in linked.sink.items if item.kind == "transaction"]
    assert [span["description"].split()[0] for span in transaction["spans"]] == [str(n) for n in range(count)]
    assert SECRET not in str(transaction)
