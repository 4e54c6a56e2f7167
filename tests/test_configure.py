"""`configure()`: one call, one handle, whatever the order, whatever is wrong with the settings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import metrics, propagate, trace

import blogauto_otel
from blogauto_otel import ConfigurationError, Status
from blogauto_otel.instrumentation import Report, State
from blogauto_otel.testing import capture_telemetry
from testkit.processes import environment, python
from testkit.receiver import Receiver

QUIET = {"traces_exporter": "none", "metrics_exporter": "none", "logs_exporter": "none", "console": "off"}
HEADER = "import blogauto_otel, json\nQUIET = " + repr(QUIET) + "\n"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run() -> Run:
    """Run a script in a process of its own, because providers are installed once per process."""

    def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            python("-c", HEADER + script), capture_output=True, text=True, env=environment(**variables), timeout=120
        )

    return run


def succeeds(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_second_call_returns_the_same_handle(run: Run) -> None:
    script = "a = blogauto_otel.configure(**QUIET); b = blogauto_otel.configure(**QUIET); assert a is b"
    assert succeeds(run(script)) == ""


def test_unused_arguments_of_a_second_call_are_logged(run: Run) -> None:
    done = run("""
blogauto_otel.configure(**QUIET)
blogauto_otel.configure(service_name="other", **QUIET)
""")
    succeeds(done)
    assert "configure() was called before; service_name of this call not used" in done.stderr


def test_after_shutdown_it_configures_again_as_a_notebook_does(run: Run) -> None:
    script = """
import fastapi, logging
from opentelemetry import trace

def work(number):
    with trace.get_tracer("notebook").start_as_current_span(f"cell {number}"):
        blogauto_otel.metrics.business.keywords_analyzed.add(number)
        logging.getLogger("notebook").warning("cell %d", number)

first = blogauto_otel.configure(service_name="first")
kept = trace.get_tracer("kept")
work(1)
assert first.shutdown()
second = blogauto_otel.configure(service_name="second")
assert second is not first and not second.is_shut_down
work(2)
kept.start_span("of a tracer from before").end()
assert second.shutdown()
assert second.status().swallowed == {}
"""
    with Receiver() as receiver:
        done = run(script, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        succeeds(done)
        assert [(span.resource["service.name"], span.name) for span in receiver.spans] == [
            ("first", "cell 1"),
            ("second", "cell 2"),
            ("second", "of a tracer from before"),
        ]
        said = [record.body for record in receiver.logs if str(record.body).startswith("cell")]
        assert said == ["cell 1", "cell 2"]
        assert receiver.total("blogauto.keywords.analyzed") == 3
    assert "Overriding" not in done.stderr


def test_after_shutdown_it_configures_again_what_was_disabled(run: Run) -> None:
    script = """
blogauto_otel.configure(sdk_disabled=True).shutdown()
print(len(blogauto_otel.configure(**QUIET).status().instrumentation) > 0)
"""
    assert succeeds(run(script)).strip() == "True"


def test_the_applications_provider_stays_when_ours_is_configured_again(run: Run) -> None:
    succeeds(
        run("""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
theirs = TracerProvider()
trace.set_tracer_provider(theirs)
blogauto_otel.configure(**QUIET).shutdown()
blogauto_otel.configure(**QUIET)
assert trace.get_tracer_provider() is theirs
""")
    )


def test_at_the_end_of_the_process_nothing_is_configured_again(run: Run) -> None:
    succeeds(
        run("""
import atexit, os
atexit.register(lambda: os._exit(0 if blogauto_otel.configure(**QUIET) is telemetry else 1))
telemetry = blogauto_otel.configure(**QUIET)
""")
    )


def test_a_service_without_a_name_logs_how_to_set_one(run: Run) -> None:
    hint = "the service has the default name, blogauto-backend; set OTEL_SERVICE_NAME, or configure(service_name=...)"
    script = "blogauto_otel.configure(**{**QUIET, 'console': 'text'}); blogauto_otel.configure()"
    unnamed = run(script)
    assert (succeeds(unnamed) + unnamed.stderr).count(hint) == 1
    for named in ({"OTEL_SERVICE_NAME": "shop"}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}):
        done = run(script, **named)
        assert hint not in succeeds(done) + done.stderr


EVERYTHING = """
import fastapi, sqlalchemy, httpx, requests, structlog, loguru, sentry_sdk
blogauto_otel.configure(console="text", service_name="a-service-with-quite-a-long-name", environment="production")
"""


def test_the_first_line_fits_a_terminal(run: Run) -> None:
    done = run(EVERYTHING, OTEL_EXPORTER_OTLP_ENDPOINT="http://otel-collector.monitoring.svc.cluster.local:4318")
    [line] = [line for line in (succeeds(done) + done.stderr).splitlines() if "; on: " in line]
    assert len(line) <= 3 * 120
    assert "traces, metrics, logs to http://otel-collector.monitoring.svc.cluster.local:4318" in line
    assert "asgi" in line


def test_a_status_that_does_not_fit_is_cut_with_a_pointer_to_the_rest() -> None:
    reports = tuple(Report(f"library-{number}", State.BROKEN, "x" * 50) for number in range(60))
    line = str(Status("shop", "production", {"traces": "http://t/x", "logs": "http://l/v1/logs"}, reports))
    assert len(line) == 320
    assert line.startswith(
        "shop (production): traces to http://t/x, logs to http://l; on: nothing; not: library-0 broken"
    )
    assert line.endswith("(all of it: telemetry.status().as_dict())")


def test_an_unknown_argument_is_logged_with_the_nearest_name(run: Run) -> None:
    done = run('blogauto_otel.configure(service_nam="x", **QUIET)')
    succeeds(done)
    assert "has no setting 'service_nam'; did you mean service_name?" in done.stderr


def test_strict_raises_what_would_have_been_logged(run: Run) -> None:
    done = run("blogauto_otel.configure(strict=True, **QUIET)", OTEL_METRIC_EXPORT_INTERVAL="soon")
    assert done.returncode != 0
    assert "ConfigurationError: OTEL_METRIC_EXPORT_INTERVAL='soon': expected a number" in done.stderr


def test_the_applications_provider_is_kept(run: Run) -> None:
    out = succeeds(
        run("""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
theirs = TracerProvider()
trace.set_tracer_provider(theirs)
telemetry = blogauto_otel.configure(**QUIET)
assert trace.get_tracer_provider() is theirs
print(telemetry.status().destinations["traces"])
""")
    )
    assert out.strip() == "a provider installed by the application"


@pytest.mark.parametrize("kind", ["TRACER", "METER"])
def test_a_named_provider_that_cannot_be_loaded_is_logged_and_ours_is_used(run: Run, kind: str) -> None:
    """The API would raise out of `get_tracer` and `get_meter` for good."""
    script = """
from opentelemetry import metrics, trace
telemetry = blogauto_otel.configure(**QUIET)
trace.get_tracer("t").start_span("s").end()
metrics.get_meter("m").create_counter("c").add(1)
print(len(telemetry.status().instrumentation) > 0)
"""
    done = run(script, **{f"OTEL_PYTHON_{kind}_PROVIDER": "nobody"})
    assert succeeds(done).strip() == "True"
    assert "cannot be loaded (StopIteration); using ours" in done.stderr


def test_requests_are_recorded_with_the_applications_provider(run: Run) -> None:
    script = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
theirs, spans = TracerProvider(), InMemorySpanExporter()
theirs.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(theirs)
blogauto_otel.configure(**QUIET)
import httpx
from fastapi import FastAPI
app = FastAPI()
@app.get("/x/{y}")
async def x(y: str) -> str:
    return y
async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        await client.get("/x/1")
asyncio.run(main())
print(json.dumps([span.name for span in spans.get_finished_spans() if span.kind is trace.SpanKind.SERVER]))
"""
    assert json.loads(succeeds(run(script)).splitlines()[-1]) == ["GET /x/{y}"]


def test_disabled_means_nothing_is_recorded_patched_or_sent(run: Run) -> None:
    out = succeeds(
        run(
            """
import logging, threading, starlette.applications
before = starlette.applications.Starlette.__call__, logging.Logger.callHandlers
telemetry = blogauto_otel.configure()
assert before == (starlette.applications.Starlette.__call__, logging.Logger.callHandlers)
assert threading.active_count() == 1
blogauto_otel.metrics.business.keywords_analyzed.add(1)
assert telemetry.force_flush() and telemetry.shutdown()
print(telemetry.status())
""",
            OTEL_SDK_DISABLED="true",
        )
    )
    assert "nowhere (disabled)" in out


def test_leaving_the_block_shuts_down(run: Run) -> None:
    succeeds(
        run("""
with blogauto_otel.configure(**QUIET) as telemetry:
    pass
assert "shut down" in repr(telemetry)
assert telemetry.shutdown() and telemetry.force_flush()
blogauto_otel.metrics.business.keywords_analyzed.add(1)
""")
    )


def test_an_unknown_propagator_is_logged_and_the_import_works(run: Run) -> None:
    done = run(
        """
blogauto_otel.configure(**QUIET)
from opentelemetry import propagate
print(sorted(propagate.get_global_textmap().fields))
""",
        OTEL_PROPAGATORS="tracecontext,carrier-pigeon",
    )
    assert succeeds(done).strip() == "['traceparent', 'tracestate']"
    assert "OTEL_PROPAGATORS='carrier-pigeon': no such propagator is installed" in done.stderr


def test_secrets_are_masked_wherever_settings_are_printed(run: Run) -> None:
    done = run("""
telemetry = blogauto_otel.configure(**QUIET)
print(telemetry.settings, telemetry.status(), telemetry.status().as_dict())
""", OTEL_EXPORTER_OTLP_HEADERS="api-key=canary-1", BLOGAUTO_OTEL_METRICS_TOKEN="canary-2",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://user:canary-3@127.0.0.1:4318")  # fmt: skip
    succeeds(done)
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_forked_child_has_an_id_of_its_own_and_counts_from_zero(run: Run) -> None:
    out = succeeds(
        run("""
import os
telemetry = blogauto_otel.configure(**QUIET)
blogauto_otel.metrics.business.keywords_analyzed.add(5)

def seen():
    data = telemetry._parts.metering.reader.collect_now()
    (resource,) = data.resource_metrics
    values = [point.value for scope in resource.scope_metrics for metric in scope.metrics
              if metric.name == "blogauto.keywords.analyzed" for point in metric.data.data_points]
    return resource.resource.attributes["service.instance.id"], values[0]

read, write = os.pipe()
if os.fork() == 0:
    blogauto_otel.metrics.business.keywords_analyzed.add(2)
    os.write(write, json.dumps(seen()).encode())
    os._exit(0)
child, parent = json.loads(os.read(read, 10_000)), seen()
print(json.dumps([child, parent]))
""")
    )
    (child_id, child_count), (parent_id, parent_count) = json.loads(out.splitlines()[-1])
    assert child_id != parent_id
    assert (child_count, parent_count) == (2, 5)


def test_a_child_can_resolve_names_although_a_thread_was_importing_their_codec_when_it_was_forked(run: Run) -> None:
    """The first connection of a process imports it; half imported, it stays so in the child for ever."""
    out = succeeds(
        run("""
import builtins, os, sys, threading, time
blogauto_otel.configure(**QUIET)
begun, original = threading.Event(), builtins.__import__

def slow_import(name, *rest, **named):
    if name == "stringprep":  # in the middle of encodings.idna
        begun.set()
        time.sleep(0.5)
    return original(name, *rest, **named)

assert "encodings.idna" not in sys.modules
builtins.__import__ = slow_import
threading.Thread(target=lambda: "a".encode("idna")).start()
assert begun.wait(10)
if os.fork() == 0:
    os.write(1, "localhost".encode("idna"))
    os._exit(0)
os.wait()
""")
    )
    assert out.splitlines()[-1] == "localhost"


def test_a_child_can_import_what_a_thread_of_ours_was_importing_when_it_was_forked(run: Run) -> None:
    """As grpcio, with the first request; half imported, it stays locked in the child for ever."""
    out = succeeds(
        run("""
import builtins, os, sys, threading, time
telemetry = blogauto_otel.configure(protocol="grpc", endpoint="http://127.0.0.1:9", spool_dir="off", console="off")
begun, original = threading.Event(), builtins.__import__

def slow_import(name, *rest, **named):
    if name == "grpc" and len(rest) > 2 and rest[2] and "_compression" in rest[2]:  # in the middle of grpc
        begun.set()
        time.sleep(0.5)
    return original(name, *rest, **named)

assert "grpc" not in sys.modules
builtins.__import__ = slow_import
blogauto_otel.metrics.business.keywords_analyzed.add(1)
threading.Thread(target=telemetry.force_flush, args=(5.0,)).start()
assert begun.wait(10)
builtins.__import__ = original
if os.fork() == 0:
    import grpc
    os.write(1, grpc.__name__.encode())
    os._exit(0)
os.wait()
""")
    )
    assert out.splitlines()[-1] == "grpc"


def test_a_child_of_a_process_that_has_shut_down_waits_for_no_lock_of_its_parent(run: Run) -> None:
    done = run("""
import os, threading

import blogauto_otel
from blogauto_otel import _guard

telemetry = blogauto_otel.configure()
telemetry.shutdown()
threading.Thread(target=_guard.state.lock.acquire).start()  # as another thread may hold it for a moment
if os.fork() == 0:
    print("swallowed:", dict(telemetry.status().swallowed), flush=True)
    os._exit(0)
os.wait()
os._exit(0)
""")
    assert "swallowed: {}" in succeeds(done)


def test_what_a_block_emits_is_captured_and_everything_is_restored() -> None:
    before = trace.get_tracer_provider()
    with capture_telemetry() as telemetry:
        with trace.get_tracer("test").start_as_current_span("one"):
            blogauto_otel.metrics.security.security_events.add(type="auth_failure")
        assert telemetry.span("one").name == "one"
    assert telemetry.points("blogauto.security.events") == {(("type", "auth_failure"),): 1}
    assert trace.get_tracer_provider() is before


def test_two_captures_one_after_the_other_see_their_own() -> None:
    for number in (1, 2):
        with capture_telemetry() as telemetry:
            blogauto_otel.metrics.business.keywords_analyzed.add(number)
        assert telemetry.points("blogauto.keywords.analyzed") == {(): number}


def test_a_missing_span_is_reported_with_the_names_of_all() -> None:
    with capture_telemetry() as telemetry, trace.get_tracer("test").start_as_current_span("one"):
        pass
    with pytest.raises(LookupError, match=r"0 spans named 'two' among \['one'\]"):
        telemetry.span("two")


def test_the_applications_views_apply_to_our_metrics_and_to_its_own(run: Run) -> None:
    out = succeeds(
        run("""
from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import DropAggregation, ExplicitBucketHistogramAggregation, View
telemetry = blogauto_otel.configure(views=[
    View(instrument_name="shop.wait", aggregation=ExplicitBucketHistogramAggregation([1.0, 2.0])),
    View(instrument_name="blogauto.keywords.analyzed", aggregation=DropAggregation()),
], **QUIET)
metrics.get_meter("shop").create_histogram("shop.wait").record(1.5)
blogauto_otel.metrics.business.keywords_analyzed.add(1)
data = telemetry._parts.metering.reader.collect_now()
found = {metric.name: metric for resource in data.resource_metrics for scope in resource.scope_metrics
         for metric in scope.metrics}
assert "blogauto.keywords.analyzed" not in found
print(json.dumps(list(found["shop.wait"].data.data_points[0].explicit_bounds)))
""")
    )
    assert json.loads(out.splitlines()[-1]) == [1.0, 2.0]


VIEWS = """
file_format: "1.0"
meter_provider:
  readers: [{periodic: {exporter: {console: }}}]
  views:
    - selector: {instrument_name: shop.wait, instrument_type: histogram, meter_name: shop}
      stream:
        name: shop.waited
        description: Seconds in the queue.
        attribute_keys: {included: ["shop.*"], excluded: ["*.user"]}
        aggregation: {explicit_bucket_histogram: {boundaries: [1.0, 2.0], record_min_max: false}}
    - {selector: {instrument_name: "blogauto.keywords.*"}, stream: {aggregation: {drop: }}}
    - {selector: {instrument_name: "shop.*"}, stream: {name: all}}
"""


def test_the_views_of_a_configuration_file_apply(run: Run, tmp_path: Path) -> None:
    """The last is refused by the SDK, because it gives several instruments one name."""
    file = tmp_path / "otel.yaml"
    file.write_text(VIEWS)
    done = run(
        """
from opentelemetry import metrics
telemetry = blogauto_otel.configure(console="off")
wait = metrics.get_meter("shop").create_histogram("shop.wait")
wait.record(1.5, {"shop.queue": "a", "shop.user": "bob", "other": "x"})
blogauto_otel.metrics.business.keywords_analyzed.add(1)
data = telemetry._parts.metering.reader.collect_now()
found = {metric.name: metric for resource in data.resource_metrics for scope in resource.scope_metrics
         for metric in scope.metrics}
assert "blogauto.keywords.analyzed" not in found
[point] = found["shop.waited"].data.data_points
print(json.dumps([found["shop.waited"].description, list(point.explicit_bounds), dict(point.attributes)]))
""",
        OTEL_CONFIG_FILE=str(file),
    )
    last = [line for line in succeeds(done).splitlines() if line.startswith('["Seconds')][-1]
    assert json.loads(last) == ["Seconds in the queue.", [1.0, 2.0], {"shop.queue": "a"}]
    assert "meter_provider.views[2]: " in done.stderr


def test_every_instrumentation_gets_the_hooks(run: Run) -> None:
    succeeds(
        run("""
import sys, types
from blogauto_otel.instrumentation import registry
seen = []
def instrument(context):
    seen.append(context.hooks)
    return registry.Report("module", registry.State.ON)
module = types.SimpleNamespace(__name__="module", instrument=instrument)
sys.modules["module"] = module
registry.INSTRUMENTATIONS = {"module": "module"}
hooks = blogauto_otel.Hooks(client_request={"redis": print})
blogauto_otel.configure(hooks=hooks, sqlalchemy="off", **QUIET)
assert seen == [hooks]
""")
    )


@pytest.mark.quiet_guard
def test_an_error_of_ours_while_configuring_is_swallowed(run: Run) -> None:
    done = run("""
from blogauto_otel import _configure
_configure.build_tracer_provider = lambda *a, **k: 1 / 0
telemetry = blogauto_otel.configure(**QUIET)
print(telemetry.status())
""")
    succeeds(done)
    assert "configuring telemetry failed; the application is not affected" in done.stderr


def test_globals_are_those_of_the_api() -> None:
    with capture_telemetry():
        assert "SDK" not in type(metrics.get_meter_provider()).__name__
        assert {"traceparent", "baggage"} <= set(propagate.get_global_textmap().fields)
    assert ConfigurationError.__mro__[1].__name__ == "BlogautoOtelError"
