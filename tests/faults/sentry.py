"""Rows about Sentry: it receives the errors of the application, and may be unreachable."""

from __future__ import annotations

from typing import Any

from testkit import receiver as peer
from testkit.receiver import Receiver
from tests.faults.lab import Lab, wait_until
from tests.faults.network import all_arrive
from tests.faults.rule import Rule
from tests.sentry.envelope_receiver import EnvelopeReceiver

LOAD = 40
ERRORS = 150  # more than Sentry's queue holds
REPORTED = Rule(errors=("reported",))


def _variables(sentry: EnvelopeReceiver, **others: str) -> dict[str, Any]:
    return {"SENTRY_DSN": sentry.dsn, "BLOGAUTO_OTEL_SENTRY_EVENTS_PER_MINUTE": "6000", **others}


def sentry_is_silent(lab: Lab) -> None:
    with EnvelopeReceiver() as sentry, Receiver() as receiver:
        sentry.answer(peer.silence())
        with lab.service(receiver, rule=REPORTED, **_variables(sentry)) as service:
            service.do("report_errors", times=ERRORS)
            service.hit(LOAD)
            all_arrive(service, receiver)
            wait_until(lambda: sum(record.body == "reported" for record in receiver.logs) == ERRORS)
            assert not sentry.events


def errors_in_unsampled_requests(lab: Lab) -> None:
    unsampled = {"BLOGAUTO_OTEL_SAMPLE_ROUTES": "/do/*=0"}
    with EnvelopeReceiver() as sentry, Receiver() as receiver:
        with lab.service(receiver, rule=REPORTED, **_variables(sentry, **unsampled)) as service:
            for _ in range(LOAD):
                service.do("report_errors", times=1)
            service.hit(LOAD)
            all_arrive(service, receiver)
            wait_until(lambda: len(sentry.events) == LOAD)
            wait_until(lambda: sum(span.name == "GET /do/{name}" for span in receiver.spans) == LOAD)
        exported = {span.span_id for span in receiver.spans}
        reported = [record for record in receiver.logs if record.body == "reported"]
        assert len(reported) == LOAD
        assert {record.span_id for record in reported} <= exported
        assert {event.span_id for event in sentry.events} <= exported
