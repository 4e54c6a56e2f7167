"""Sentry rows: Sentry does not answer; errors in unsampled requests."""

from __future__ import annotations

from typing import Any

from testkit import receiver as peer
from testkit.envelope_receiver import EnvelopeReceiver
from testkit.receiver import Receiver
from tests.faults.harness import Harness, wait_until
from tests.faults.invariants import Tolerance
from tests.faults.network import all_arrive

LOAD = 40
ERRORS = 150  # more than Sentry's queue holds
REPORTED = Tolerance(errors=("reported",))


def _variables(sentry: EnvelopeReceiver, **others: str) -> dict[str, Any]:
    return {"SENTRY_DSN": sentry.dsn, "BLOGAUTO_OTEL_SENTRY_EVENTS_PER_MINUTE": "6000", **others}


def sentry_no_answer(harness: Harness) -> None:
    with EnvelopeReceiver() as sentry, Receiver() as receiver:
        sentry.answer(peer.silence())
        with harness.service(receiver, tolerance=REPORTED, **_variables(sentry)) as service:
            service.run_action("log_exceptions", times=ERRORS)
            service.hit(LOAD)
            all_arrive(service, receiver)
            wait_until(lambda: sum(record.body == "reported" for record in receiver.logs) == ERRORS)
            assert not sentry.events


def errors_in_unsampled_requests(harness: Harness) -> None:
    unsampled = {"BLOGAUTO_OTEL_SAMPLE_ROUTES": "/action/*=0"}
    with EnvelopeReceiver() as sentry, Receiver() as receiver:
        with harness.service(receiver, tolerance=REPORTED, **_variables(sentry, **unsampled)) as service:
            for _ in range(LOAD):
                service.run_action("log_exceptions", times=1)
            service.hit(LOAD)
            all_arrive(service, receiver)
            wait_until(lambda: len(sentry.events) == LOAD)
            wait_until(lambda: sum(span.name == "GET /action/{name}" for span in receiver.spans) == LOAD)
        exported = {span.span_id for span in receiver.spans}
        reported = [record for record in receiver.logs if record.body == "reported"]
        assert len(reported) == LOAD
        assert {record.span_id for record in reported} <= exported
        assert {event.span_id for event in sentry.events} <= exported
