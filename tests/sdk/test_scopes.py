"""Names and descriptions of scopes and instruments are exported without secrets, in every signal."""

from __future__ import annotations

from typing import Any

from testkit.receiver import Receiver
from tests.sdk.providers import providing

SECRET = "c4n4ryc4n4ryc4n4ry12"
NAME, VERSION, URL = f"of sk_live_{SECRET}", f"1 Bearer {SECRET}", f"https://u:{SECRET}@schemas.test/1"
ATTRIBUTES = {"note": f"ghp_{SECRET}", "api_key": SECRET, "team": "shop"}


def test_no_secret_is_in_a_scope(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        for described in ((NAME, VERSION, URL, ATTRIBUTES), (f"{NAME} 2",)):
            providers.tracing.get_tracer(*described).start_span("work").end()
            providers.metering.get_meter(*described).create_counter("things").add(1)
            providers.logs.get_logger(*described).emit(body="done")
        named: dict[str, Any] = {"version": VERSION, "schema_url": URL, "attributes": ATTRIBUTES}
        providers.metering.get_meter("named", **named).create_counter("others").add(1)
        providers.flush()
    assert {span.scope for span in receiver.spans} == {"of [redacted:api-key]", "of [redacted:api-key] 2"}
    assert {"of [redacted:api-key]", "named"} <= {point.scope for point in receiver.metrics}
    assert {record.scope for record in receiver.logs} == {"of [redacted:api-key]", "of [redacted:api-key] 2"}
    for request in receiver.requests:
        assert SECRET.encode() not in request.payload
        assert b"shop" in request.payload


def test_no_secret_is_in_a_description(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        meter = providers.metering.get_meter("tests")
        meter.create_counter("first", "{thing}", f"password={SECRET} things").add(1)
        meter.create_histogram(name="second", description=f"password={SECRET} things").record(1)
        meter.create_observable_gauge("third", [lambda _: []], description=f"password={SECRET} things")
        data = providers.metering.reader.collect_now()
        providers.flush()
    assert SECRET not in str(data)  # the data of `/metrics`
    assert {point.description for point in receiver.metrics} >= {"password=[redacted:password] things"}
    assert receiver.point("first").unit == "{thing}"
