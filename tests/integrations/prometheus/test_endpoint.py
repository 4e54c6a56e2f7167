"""The page itself: methods, token, compression, several scrapes at once, faults; and in a configured application."""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import os
import threading
import time
from typing import Any, Literal

import anyio
import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from blogauto_otel import _guard
from blogauto_otel.instrumentation import Report, State
from blogauto_otel.integrations.prometheus import MetricsEndpoint
from blogauto_otel.integrations.prometheus.endpoint import ScrapeTiming
from blogauto_otel.redaction import Redactor
from blogauto_otel.sdk.meter_provider import CollectingReader
from blogauto_otel.sdk.series import limit_series
from blogauto_otel.testing import Captured, capture_telemetry
from testkit.requests import LOCAL, PUBLIC, ask


class Source:
    """A reader that counts how often it was asked, and can be slow or broken."""

    def __init__(self, *, series: int = 1, delay: float = 0.0, error: BaseException | None = None) -> None:
        self.reader = CollectingReader()
        self.provider = MeterProvider([self.reader], resource=Resource({}), shutdown_on_exit=False)
        limit_series(self.provider, limit=100_000, redactor=Redactor(enabled=False), on_first_measurement=lambda: None)
        self.counter = self.provider.get_meter("tests").create_counter("c")
        for number in range(series):
            self.counter.add(1, {"k": str(number)})
        self.delay, self.error, self.asked, self.threads = delay, error, 0, set[str]()

    def collect(self) -> MetricsData | None:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        time.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return self.reader.collect_now()


async def fetch(app: Any, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("accept-encoding", "identity")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        return await client.request(method, "/metrics", headers=named)


async def test_get_answers_with_the_metrics() -> None:
    response = await fetch(MetricsEndpoint(Source().collect))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'c_total{k="0"} 1.0' in response.text
    assert response.headers["content-length"] == str(len(response.content))


@pytest.mark.slow
async def test_a_client_that_scrapes_without_pause_is_delayed() -> None:
    source = Source()
    collect = source.collect

    def work() -> MetricsData | None:
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass
        return collect()

    app = MetricsEndpoint(work, timing=ScrapeTiming(max_delay=3.0))
    for _ in range(3):  # the burst
        began = time.perf_counter()
        await fetch(app)
        assert time.perf_counter() - began < 2.5
    began = time.perf_counter()
    answers = await asyncio.gather(*(fetch(app) for _ in range(10)))
    assert time.perf_counter() - began > 3.0
    assert {answer.status_code for answer in answers} == {200}
    assert source.asked == 4
    await asyncio.sleep(3.0)  # as Prometheus does, for longer
    began = time.perf_counter()
    await fetch(app)
    assert time.perf_counter() - began < 2.5


async def test_openmetrics_when_it_is_preferred() -> None:
    response = await fetch(MetricsEndpoint(Source().collect), accept="application/openmetrics-text;version=1.0.0")
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response.text.endswith("# EOF\n")


async def test_head_answers_without_a_body() -> None:
    response = await fetch(MetricsEndpoint(Source().collect), "HEAD")
    assert response.status_code == 200
    assert response.content == b""
    assert int(response.headers["content-length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_are_refused(method: str) -> None:
    source = Source()
    response = await fetch(MetricsEndpoint(source.collect), method)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    assert source.asked == 0


async def test_compressed_when_accepted() -> None:
    app = MetricsEndpoint(Source(series=500).collect)
    plain, packed = await fetch(app), await fetch(app, accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 4
    assert packed.content == plain.content  # httpx has unpacked it


async def test_compressed_bytes_are_gzip() -> None:
    answer = MetricsEndpoint(Source().collect)._render("text/plain; version=0.0.4; charset=utf-8", True)
    assert b"c_total" in gzip.decompress(answer.body)


class TestToken:
    @pytest.mark.parametrize("given", ["Bearer secret-1", "bearer secret-1", "BEARER  secret-1 "])
    async def test_with_it(self, given: str) -> None:
        assert (await fetch(MetricsEndpoint(Source().collect, "secret-1"), authorization=given)).status_code == 200

    @pytest.mark.parametrize(
        "given", [None, "", "Bearer", "Bearer secret-2", "Bearer secret-1x", "Basic secret-1", "secret-1"]
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    async def test_without_it(self, given: str | None, method: str) -> None:
        source = Source()
        headers = {} if given is None else {"authorization": given}
        response = await fetch(MetricsEndpoint(source.collect, "secret-1"), method, **headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert source.asked == 0
        assert "secret" not in response.text

    async def test_bytes_that_are_no_text(self) -> None:
        messages = await raw(MetricsEndpoint(Source().collect, "s"), headers=[(b"authorization", b"Bearer \xff\xfe")])
        assert messages[0]["status"] == 401


async def raw(app: Any, **scope: Any) -> list[dict[str, Any]]:
    """Messages of one request, as a server would get them."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        messages.append(message)

    await app({"type": "http", "method": "GET", "path": "/metrics", "headers": [], **scope}, receive, send)
    return messages


class TestAtOnce:
    async def test_concurrent_scrapes_share_one_collection(self) -> None:
        source = Source(delay=0.2)
        app = MetricsEndpoint(source.collect)
        answers = await asyncio.gather(*(fetch(app) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert source.asked == 1
        await fetch(app)
        assert source.asked == 2

    async def test_the_loop_runs_meanwhile(self) -> None:
        source = Source(delay=0.3)
        task = asyncio.ensure_future(fetch(MetricsEndpoint(source.collect)))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks > 5
        assert source.threads == {"blogauto_otel-metrics"}

    async def test_a_client_that_disconnects_does_not_affect_the_others(self) -> None:
        app = MetricsEndpoint(Source(delay=0.3).collect)
        leaving, staying = asyncio.ensure_future(fetch(app)), asyncio.ensure_future(fetch(app))
        await asyncio.sleep(0.05)
        leaving.cancel()
        assert (await staying).status_code == 200

    def test_loops_in_several_threads_share_it(self) -> None:
        source = Source(delay=0.2)
        app = MetricsEndpoint(source.collect)
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(asyncio.run(fetch(app)).status_code)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert found == [200] * 5
        assert source.asked <= 2

    async def test_a_fork_during_a_rendering_does_not_block_the_child(self) -> None:
        source = Source(delay=0.5)
        app = MetricsEndpoint(source.collect)
        task = asyncio.ensure_future(fetch(app))
        await asyncio.sleep(0.1)
        assert app._renderings._in_flight
        read, write = os.pipe()
        child = multiprocessing.get_context("fork").Process(
            target=lambda: os.write(write, str(_status_in_a_new_loop(app)).encode())
        )
        child.start()
        child.join(10)
        assert not child.is_alive()
        assert os.read(read, 10) == b"200"
        assert (await task).status_code == 200

    async def test_ten_thousand_series(self) -> None:
        app = MetricsEndpoint(Source(series=10_000).collect)
        began = time.process_time()
        response = await fetch(app)
        assert response.text.count("\nc_total{") == 10_000
        assert time.process_time() - began < 3.0  # about 0.1 s on a quiet machine


def _status_in_a_new_loop(app: MetricsEndpoint) -> int:
    loop = asyncio.new_event_loop()
    answer: int = loop.run_until_complete(raw(app))[0]["status"]
    return answer


@pytest.mark.quiet_guard
class TestFaults:
    async def test_a_reader_that_raises_is_an_answer_and_counted(self, caplog: pytest.LogCaptureFixture) -> None:
        response = await fetch(MetricsEndpoint(Source(error=RuntimeError("broken")).collect))
        assert response.status_code == 500
        assert response.headers["content-type"].startswith("text/plain")
        assert "broken" not in response.text
        assert _guard.swallowed() == {"answering a scrape": 1}
        assert "answering a scrape failed" in caplog.text

    async def test_afterwards_it_works_again(self) -> None:
        source = Source(error=RuntimeError("broken"))
        app = MetricsEndpoint(source.collect)
        await fetch(app)
        source.error = None
        assert (await fetch(app)).status_code == 200

    async def test_a_reader_that_hangs_is_an_answer(self) -> None:
        response = await fetch(MetricsEndpoint(Source(delay=0.5).collect, timing=ScrapeTiming(timeout=0.1)))
        assert response.status_code == 503

    async def test_without_threads_it_answers_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        app = MetricsEndpoint(lambda: None)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        messages = await raw(app)
        assert messages[0]["status"] == 200

    async def test_a_client_that_went_away_is_no_error_of_the_application(self) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            raise OSError("closed")

        app = MetricsEndpoint(Source().collect)
        await app({"type": "http", "method": "GET", "path": "/metrics", "headers": []}, receive, send)
        assert _guard.swallowed() == {"answering a scrape": 1}

    async def test_a_scope_without_headers_is_an_answer(self) -> None:
        messages = await raw(MetricsEndpoint(Source().collect), headers=None)
        assert messages[0]["status"] == 500

    async def test_nothing_collected_is_an_empty_page(self) -> None:
        response = await fetch(MetricsEndpoint(lambda: None))
        assert response.status_code == 200
        assert response.text == ""


async def test_a_websocket_is_closed() -> None:
    messages = await raw(MetricsEndpoint(Source().collect), type="websocket")
    assert messages == [{"type": "websocket.close", "code": 1008}]


def report_of(telemetry: Captured) -> Report:
    [report] = [one for one in telemetry.handle.status().instrumentation if one.name == "prometheus"]
    return report


class TestInAnApplication:
    @staticmethod
    def app() -> FastAPI:
        app = FastAPI()

        @app.get("/metrics")
        async def metrics() -> None:
            raise NameError("monitoring")

        @app.get("/items/{item_id}")
        async def item(item_id: int) -> int:
            return item_id

        return app

    async def get(self, app: FastAPI, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            return await client.get(path, headers=headers)

    async def test_it_answers_whatever_routes_there_are_and_is_not_itself_measured(self) -> None:
        app = self.app()
        with capture_telemetry() as telemetry:
            await self.get(app, "/items/5")
            for _ in range(2):
                response = await self.get(app, "/metrics")
            assert response.status_code == 200
            assert 'blogauto_api_requests_total{endpoint="/items/{item_id}",method="GET",status="200",' in response.text
            assert "blogauto_api_request_duration_seconds_bucket{" in response.text
            assert "blogauto_cpu_usage_percent" in response.text
            assert '"/metrics"' not in response.text
            assert [span.name for span in telemetry.spans] == ["GET /items/{item_id}"]
            assert report_of(telemetry) == Report("prometheus", State.ON, "/metrics")

    @pytest.mark.parametrize("requests", ["off", "contrib"])
    async def test_it_answers_with_any_instrumentation_of_requests(self, requests: Literal["off", "contrib"]) -> None:
        with capture_telemetry(requests=requests):
            assert "blogauto_cpu_usage_percent" in (await self.get(self.app(), "/metrics")).text

    async def test_it_can_be_moved(self) -> None:
        with capture_telemetry(metrics_path="/internal/metrics"):
            assert "blogauto_" in (await self.get(self.app(), "/internal/metrics")).text
            with pytest.raises(NameError):
                await self.get(self.app(), "/metrics")

    async def test_it_can_be_switched_off(self) -> None:
        with capture_telemetry(metrics_path="off") as telemetry:
            assert report_of(telemetry).state is State.OFF
            with pytest.raises(NameError):
                await self.get(self.app(), "/metrics")

    async def test_it_can_be_protected(self) -> None:
        with capture_telemetry(metrics_token="t-1"):
            assert (await self.get(self.app(), "/metrics")).status_code == 401
            assert (await self.get(self.app(), "/metrics", authorization="Bearer t-1")).status_code == 200

    async def ask_from(self, client: tuple[str, int] | None, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await ask(self.app(), "/metrics", client=client, headers=named)).status_code

    async def test_in_production_it_is_for_private_networks(self) -> None:
        with capture_telemetry(environment="production") as telemetry:
            assert report_of(telemetry).detail == "/metrics for private networks"
            assert await self.ask_from(LOCAL) == 200
            assert await self.ask_from(("172.18.0.3", 1)) == 200, "Prometheus, in a network of containers"
            assert await self.ask_from(PUBLIC) == 403
            assert await self.ask_from(None) == 403, "whatever speaks through a Unix socket"
            assert await self.ask_from(LOCAL, x_forwarded_for=PUBLIC[0]) == 403
            assert await self.ask_from(LOCAL, forwarded=f"for={PUBLIC[0]}") == 403
            assert await self.ask_from(LOCAL, via="1.1 proxy") == 403
            assert await self.ask_from(LOCAL, x_forwarded_for="10.0.0.9") == 200

    async def test_in_production_a_listed_network_is_a_private_one_and_no_gateway(self) -> None:
        with capture_telemetry(environment="production", trust_incoming=("private", "100.64.0.0/10")):
            assert await self.ask_from(("100.64.0.1", 1)) == 200
            assert await self.ask_from(("100.64.0.1", 1), x_forwarded_for=PUBLIC[0]) == 403

    async def test_in_production_a_token_opens_it(self) -> None:
        with capture_telemetry(environment="production", metrics_token="t-1") as telemetry:
            assert report_of(telemetry).detail == "/metrics"
            assert await self.ask_from(PUBLIC) == 401
            assert await self.ask_from(LOCAL) == 401
            assert await self.ask_from(PUBLIC, authorization="Bearer t-1") == 200

    async def test_elsewhere_it_is_open(self) -> None:
        with capture_telemetry(environment="staging"):
            assert await self.ask_from(PUBLIC) == 200

    async def test_the_status_has_an_application_that_answers_itself(self) -> None:
        app = FastAPI()
        app.get("/metrics")(lambda: "theirs")
        with capture_telemetry() as telemetry:
            assert (await self.get(app, "/metrics")).json() == "theirs"
            assert report_of(telemetry).detail == "/metrics is the application's own"
        with capture_telemetry() as telemetry:
            assert report_of(telemetry).detail == "/metrics"

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_it_answers_on_every_event_loop(self, backend: str) -> None:
        app = self.app()

        async def both() -> tuple[int, int]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
                return (await client.get("/items/5")).status_code, (await client.get("/metrics")).status_code

        with capture_telemetry():
            assert anyio.run(both, backend=backend) == (200, 200)

    def test_a_collection_that_takes_too_long_is_503_under_trio_too(self) -> None:
        app = MetricsEndpoint(Source(delay=0.5).collect, timing=ScrapeTiming(timeout=0.05))
        assert anyio.run(fetch, app, backend="trio").status_code == 503

    def test_a_client_that_scrapes_without_pause_is_delayed_under_trio_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app, asked = MetricsEndpoint(Source().collect), list[str]()

        def wait() -> float:
            asked.append("once")
            return 0.01

        monkeypatch.setattr(app._renderings._cost, "wait", wait)
        assert anyio.run(fetch, app, backend="trio").status_code == 200
        assert asked == ["once"]

    async def test_secrets_in_labels_do_not_leave(self) -> None:
        from opentelemetry import metrics

        with capture_telemetry():
            metrics.get_meter("tests").create_counter("c").add(1, {"api_key": "hunter2", "url": "http://u:hunter2@h/"})
            assert "hunter2" not in (await self.get(self.app(), "/metrics")).text

    async def test_after_the_end_the_path_is_the_applications_again(self) -> None:
        with capture_telemetry():
            pass
        with pytest.raises(NameError):
            await self.get(self.app(), "/metrics")
