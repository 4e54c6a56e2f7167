"""The pytest plugin in projects as users have them: each test writes one, and runs pytest in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from testkit.processes import environment, python

pytestmark = pytest.mark.slow

APP = """
import logging
from contextlib import asynccontextmanager
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool
import blogauto_otel
{configure_at_import}
engine = create_engine("sqlite://", connect_args={{"check_same_thread": False}}, poolclass=StaticPool)

@asynccontextmanager
async def lifespan(app):
    {configure_at_start}
    yield

app = FastAPI(lifespan=lifespan)

@app.get("/articles/{{number}}")
def article(number: int):
    logging.getLogger("shop").warning("reading article %s", number)
    blogauto_otel.metrics.business.keywords_analyzed.add()
    with engine.connect() as connection:
        for one in range(number):
            connection.execute(text("SELECT :one"), {{"one": one}})
    if number == 13:
        raise RuntimeError("unlucky")
    return number
"""

AT_IMPORT = 'telemetry_handle = blogauto_otel.configure(service_name="shop", namespace="shop")'

TESTS = """
from fastapi.testclient import TestClient
import pytest
from shop import app

client = TestClient(app)

def test_without_lifespan(telemetry):
    client.get("/articles/1")
    assert telemetry.span("GET /articles/{number}")
    assert "reading article 1" in [record.log_record.body for record in telemetry.logs]
    assert telemetry.points("NAMESPACE.keywords.analyzed") == {(): 1}
    assert len(telemetry.queries) == 1
    telemetry.assert_max_queries(1)
    telemetry.assert_no_repeated_queries()
    telemetry.assert_no_errors()

def test_each_test_sees_its_own(telemetry):
    assert telemetry.spans == ()
    assert telemetry.queries == ()
    client.get("/articles/2")
    assert telemetry.points("NAMESPACE.keywords.analyzed") == {(): 1}
    assert len(telemetry.queries) == 2

def test_with_lifespan(telemetry):
    with TestClient(app) as entered:
        entered.get("/articles/1")
    assert telemetry.span("GET /articles/{number}")

def test_another_without(telemetry):
    client.get("/articles/1")
    assert telemetry.span("GET /articles/{number}")
"""

STYLES = {
    "configured at import": (AT_IMPORT, "pass", "shop"),
    "configured at start": ("", AT_IMPORT, None),
    "never configured": ("", "pass", "blogauto"),
}


def project(folder: Path, tests: str, style: str = "configured at import", ini: str = "") -> Path:
    at_import, at_start, _ = STYLES[style]
    (folder / "shop.py").write_text(APP.format(configure_at_import=at_import, configure_at_start=at_start))
    (folder / "test_shop.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = .\n{ini}\n")
    return folder


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)


def passed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) passed", done.stdout)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("style", ["configured at import", "never configured"])
def test_a_project_with_a_test_client(tmp_path: Path, style: str) -> None:
    tests = TESTS.replace("NAMESPACE", STYLES[style][2] or "")
    assert passed(run(project(tmp_path, tests, style))) == 4


def test_a_project_whose_application_configures_at_its_start(tmp_path: Path) -> None:
    """The arguments of the application count from then on."""
    tests = """
from fastapi.testclient import TestClient
from shop import app

def test_the_first(telemetry):
    with TestClient(app) as client:
        client.get("/articles/1")
    assert telemetry.span("GET /articles/{number}").resource.attributes["service.name"] == "shop"
    assert telemetry.points("shop.keywords.analyzed") == {(): 1}

def test_the_second(telemetry):
    with TestClient(app) as client:
        client.get("/articles/1")
    assert telemetry.points("shop.keywords.analyzed") == {(): 1}
"""
    assert passed(run(project(tmp_path, tests, "configured at start"))) == 2


@pytest.mark.parametrize("plugin", ["asyncio", "anyio"])
def test_a_project_with_asynchronous_tests(tmp_path: Path, plugin: str) -> None:
    tests = f"""
import httpx, pytest
from shop import app

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.{plugin}
async def test_by_the_transport_of_httpx(telemetry):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        await client.get("/articles/3")
    assert telemetry.span("GET /articles/{{number}}")
    telemetry.assert_max_queries(3)
"""
    options = ("-p", "no:asyncio") if plugin == "anyio" else ("-p", "no:anyio")
    assert passed(run(project(tmp_path, tests), *options)) == 1


def test_a_project_with_xdist(tmp_path: Path) -> None:
    tests = TESTS.replace("NAMESPACE", "shop")
    assert passed(run(project(tmp_path, tests), "-n", "2")) == 4


def test_the_assertions_say_what_was_found_and_the_tree_stands_below_a_failed_test(tmp_path: Path) -> None:
    tests = """
from fastapi.testclient import TestClient
from shop import app

client = TestClient(app, raise_server_exceptions=False)

def test_too_many(telemetry):
    client.get("/articles/4")
    telemetry.assert_max_queries(3)

def test_repeated(telemetry):
    client.get("/articles/5")
    telemetry.assert_no_repeated_queries()

def test_failed(telemetry):
    client.get("/articles/13")
    telemetry.assert_no_errors()

def test_no_such_span(telemetry):
    client.get("/articles/1")
    telemetry.span("GET /nothing")
"""
    done = run(project(tmp_path, tests))
    assert done.returncode == 1
    assert "4 failed" in done.stdout
    assert "4 SQL statements, at most 3 expected" in done.stdout
    assert "5 times in GET /articles/{number}: SELECT" in done.stdout
    assert "selectinload()" in done.stdout
    assert "failed spans: ['GET /articles/{number}']" in done.stdout
    assert "! RuntimeError: unlucky" in done.stdout
    assert "Captured telemetry" in done.stdout
    assert re.search(r"GET /articles/\{number\} [\d.]+ ms 200", done.stdout)
    assert "- WARN reading article 4" in done.stdout


def test_after_a_captured_block_the_former_handle_is_in_force_as_before(tmp_path: Path) -> None:
    tests = """
import blogauto_otel
from fastapi.testclient import TestClient
from blogauto_otel.testing import capture_telemetry
import shop

client = TestClient(shop.app)

def test_the_block_has_its_own_configuration(telemetry):
    client.get("/articles/1")
    with capture_telemetry(namespace="other") as inner:
        client.get("/articles/1")
    assert inner.points("other.keywords.analyzed") == {(): 1}
    assert len(inner.queries) == 1
    client.get("/articles/1")
    assert telemetry.points("shop.keywords.analyzed") == {(): 2}
    assert len(telemetry.queries) == 2
    assert [name for name, value in telemetry.points("shop.api.requests").items() if value]
    assert blogauto_otel.configure() is shop.telemetry_handle
    assert not shop.telemetry_handle.is_shut_down
    assert shop.telemetry_handle.status().service == "shop"
    names = [metric.name for metric in telemetry.metrics]
    assert len(names) == len(set(names))
    assert {"shop.cpu.usage", "process.thread.count"} <= set(names)

def test_the_next_test_is_as_before(telemetry):
    client.get("/articles/1")
    assert len(telemetry.queries) == 1
    assert telemetry.points("shop.keywords.analyzed") == {(): 1}
"""
    assert passed(run(project(tmp_path, tests))) == 2


def test_observed_totals_count_from_the_beginning_of_the_test_and_gauges_are_as_they_stand(tmp_path: Path) -> None:
    """A gauge is not asked before the test: nothing is subtracted from it, and asking may be slow."""
    tests = """
import shop
from opentelemetry import metrics
from opentelemetry.metrics import Observation

asked, state = [], {"jobs": 5, "depth": 5}

def observe(name):
    def callback(options):
        asked.append(name)
        return [Observation(state[name])]
    return callback

meter = metrics.get_meter("tests")
meter.create_observable_counter("jobs", [observe("jobs")])
meter.create_observable_gauge("depth", [observe("depth")])
meter.create_observable_up_down_counter("open", [observe("depth")])

def test_the_first(telemetry):
    assert asked == ["jobs"]
    state.update(jobs=7, depth=7)
    assert telemetry.points("jobs") == {(): 2}
    assert telemetry.points("depth") == telemetry.points("open") == {(): 7}

def test_the_second(telemetry):
    state.update(jobs=8, depth=3)
    assert telemetry.points("jobs") == {(): 1}
    assert telemetry.points("depth") == telemetry.points("open") == {(): 3}
"""
    assert passed(run(project(tmp_path, tests))) == 2


ARTICLES = """
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE articles (title TEXT)"))
    connection.execute(text("CREATE TABLE authors (name TEXT)"))
app = FastAPI()

@app.get("/api/articles")
def articles():
    with engine.connect() as connection:
        return [list(map(str, connection.execute(text(f"SELECT * FROM {name}")))) for name in ("articles", "authors")]

@pytest.fixture
def client():
    return TestClient(app)
"""


@pytest.mark.parametrize("page", ["emitting.md", "emitting.ko.md"])
def test_the_example_of_the_documentation(tmp_path: Path, page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    example = re.search(r"```py\n(def test_.*?)```", text, re.DOTALL)
    assert example is not None
    (tmp_path / "conftest.py").write_text(ARTICLES)
    (tmp_path / "test_articles.py").write_text(example[1])
    assert passed(run(tmp_path)) == 1


def test_a_run_without_the_fixture_imports_no_opentelemetry_sdk(tmp_path: Path) -> None:
    (tmp_path / "test_alone.py").write_text("""
import sys
def test_nothing_is_imported():
    assert "opentelemetry.sdk" not in sys.modules
    assert "blogauto_otel._configure" not in sys.modules
""")
    assert passed(run(tmp_path)) == 1
