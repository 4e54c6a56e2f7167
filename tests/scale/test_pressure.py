"""Back-pressure: a last tier without a backend fills every queue up to the application's spool; nothing is dropped."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from stack.processes import LOOPBACK, Collector, eventually, start_collector
from testkit.processes import python, running

pytestmark = [pytest.mark.stack, pytest.mark.slow]

SPANS = 15_000
QUEUE = 2_500  # items that each of three tiers holds
# As many spans as the queues of all tiers hold, twice; then it stays, so that its spool is emptied.
APPLICATION = f"""
import time
import blogauto_otel
from opentelemetry import trace
telemetry = blogauto_otel.configure(service_name="blog", console="off", sample_rate=1.0)
tracer = trace.get_tracer("application")
for number in range({SPANS}):
    with tracer.start_as_current_span(f"span {{number}}"):
        pass
    if number % 500 == 0:
        time.sleep(0.1)
print("recorded", flush=True)
time.sleep(600)
"""
REFUSED = "otelcol_exporter_enqueue_failed_spans_total"
LOST = "otelcol_exporter_send_failed_spans_total"


def start_tiers(folder: Path, backend: Collector, running: ExitStack) -> dict[str, Collector]:
    """Agent, gateway and sampler, each with a small queue; `backend` is in Jaeger's place."""
    small = f"yaml:{{exporters: {{otlp_grpc/jaeger: {{sending_queue: {{queue_size: {QUEUE}}}}}}}}}"
    jaeger = {"JAEGER_OTLP_ENDPOINT": f"{LOOPBACK}:{backend.ports['GRPC']}"}
    sampler = start_collector(("export-jaeger",), tmp=folder / "sampler", env=jaeger, extra=[smaller_batches(small)])
    to_sampler = {"SAMPLER_PORT": str(sampler.ports["GRPC"]), "OTELCOL_GATEWAY_QUEUE_ITEMS": str(QUEUE)}
    gateway = start_collector(("tier-gateway",), tmp=folder / "gateway", env=to_sampler)
    to_gateway = {
        "OTELCOL_NEXT_ENDPOINT": f"{LOOPBACK}:{gateway.ports['GRPC']}",
        "OTELCOL_AGENT_QUEUE_ITEMS": str(QUEUE),
    }
    agent = start_collector(("process-redact", "tier-agent"), tmp=folder / "agent", env=to_gateway)
    tiers = {"agent": agent, "gateway": gateway, "sampler": sampler}
    for tier in tiers.values():
        running.enter_context(tier)
    return tiers


def smaller_batches(uri: str) -> str:
    """The URI with batches that fit the queue."""
    return uri.replace("queue_size", "batch: {flush_timeout: 1s, min_size: 500, max_size: 2000}, queue_size")


def test_a_backend_that_is_away_fills_the_tiers_and_then_the_spool_and_everything_arrives_later(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with start_collector(("export-file",), tmp=tmp_path / "backend") as backend, ExitStack() as ending:
        backend.kill()
        tiers = start_tiers(tmp_path, backend, ending)
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": tiers["agent"].endpoint, "BLOGAUTO_OTEL_SPOOL_DIR": str(spool)}
        with running(python("-c", APPLICATION), tmp_path / "application.log", port=0, **variables) as application:
            eventually(lambda: "recorded" in application.output, timeout=120.0)
            for name, tier in tiers.items():
                eventually(lambda tier=tier: tier.total(REFUSED) > 0, timeout=120.0, what=f"a refusal of {name}")  # type: ignore[misc]
            eventually(lambda: stored(spool) > 0, timeout=60.0, what="spans on the application's disk")
            backend.start()
            backend.wait_ready()
            wanted = {f"span {number}" for number in range(SPANS)}
            eventually(
                lambda: len(wanted - {span.name for span in backend.spans()}),
                lambda missing: missing == 0,
                timeout=240.0,
                every=1.0,
                what=f"all spans; {application.tail()}",
            )
            assert {name: tier.total(LOST) for name, tier in tiers.items()} == dict.fromkeys(tiers, 0)
            assert "dropped" not in application.output


def stored(spool: Path) -> int:
    """Bytes of spans in the spool."""
    return sum(path.stat().st_size for path in spool.rglob("*") if path.is_file())
