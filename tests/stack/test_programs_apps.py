"""The optional services: a real PostgreSQL, Redis and their exporters, watched as docker-compose.apps.yml has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack.apps import Postgres, start_exporter, start_postgres, start_redis
from stack.processes import LOOPBACK, Process, Stack, eventually
from testkit.compose import WITH_APPS, model
from tests.stack.pages import serve_page

pytestmark = pytest.mark.stack

FRONTEND = b"# TYPE page_views counter\npage_views_total 3\n# EOF\n"
PASSWORDS = {"DB_PASSWORD": "database-secret", "REDIS_PASSWORD": "redis-secret"}


@dataclass(frozen=True)
class Apps:
    """What runs beside the application, and the stack that watches it."""

    stack: Stack
    postgres: Postgres
    redis: Process
    frontend_requests: list[str]


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    tmp = tmp_path_factory.mktemp("apps")
    with ExitStack() as ending:
        postgres = ending.enter_context(start_postgres(tmp=tmp, password="administrator-secret"))
        redis = ending.enter_context(start_redis(tmp=tmp, password=PASSWORDS["REDIS_PASSWORD"]))
        # As the compose file asks of its reader.
        postgres.sql(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORDS['DB_PASSWORD']}'", "GRANT pg_monitor TO reader")
        requests: list[str] = []
        targets = {
            **{f"{name}-exporter:{port}": address for (name, port), address in exporters(tmp, ending, postgres, redis)},
            "frontend:3000": ending.enter_context(serve_page(FRONTEND, path="/api/metrics", requests=requests)),
        }
        # An exporter without its database answers after a second, which must not be too late.
        stack = ending.enter_context(Stack(tmp / "stack", targets=targets, interval="3s"))
        yield Apps(stack, postgres, redis, requests)


def exporters(
    tmp: Path, ending: ExitStack, postgres: Postgres, redis: Process
) -> Iterator[tuple[tuple[str, int], str]]:
    """The three exporters with the environment and arguments that Compose would give them."""
    here = {"DB_HOST": LOOPBACK, "REDIS_HOST": LOOPBACK, "DB_PORT": str(postgres.port), "REDIS_PORT": str(redis.port)}
    services: Mapping[str, Any] = model(WITH_APPS, DB_USER="reader", **PASSWORDS, **here)["services"]
    for name, port in (("postgres", 9187), ("redis", 9121), ("node", 9100)):
        service = services[f"{name}-exporter"]
        arguments = [argument.replace("/host/", "/") for argument in service.get("command") or []]
        exporter = start_exporter(name, tmp=tmp, env=service.get("environment"), arguments=arguments)
        yield (name, port), ending.enter_context(exporter).url.removeprefix("http://")


def test_the_jobs_of_the_former_stack_are_up(apps: Apps) -> None:
    jobs = {"postgres", "redis", "node", "blogauto-frontend"}
    query = f'up{{job=~"{"|".join(jobs)}"}} == 1'
    apps.stack.prometheus.wait_for(query, lambda found: {sample.labels["job"] for sample in found} == jobs)
    eventually(apps.stack.prometheus.targets, lambda found: set(found.values()) == {"up"})


@pytest.mark.parametrize(
    ("metric", "holds"),
    [
        ('pg_up{job="postgres"}', lambda value: value == 1),
        ('sum(pg_stat_database_numbackends{job="postgres"})', lambda value: value >= 1),
        ('redis_up{job="redis"}', lambda value: value == 1),
        ('redis_connected_clients{job="redis"}', lambda value: value >= 1),
        ('count(node_cpu_seconds_total{job="node"})', lambda value: value >= 1),
        ('node_memory_MemTotal_bytes{job="node"}', lambda value: value > 1e8),
        ('page_views_total{job="blogauto-frontend"}', lambda value: value == 3),
    ],
)
def test_the_metrics_of_the_exporters_arrive(apps: Apps, metric: str, holds: Callable[[float], bool]) -> None:
    apps.stack.prometheus.wait_for(metric, lambda found: len(found) == 1 and holds(found[0].value))


def test_the_frontend_is_asked_at_its_own_path(apps: Apps) -> None:
    apps.stack.prometheus.wait_for('up{job="blogauto-frontend"} == 1')
    assert set(apps.frontend_requests) == {"/api/metrics"}


def test_the_host_is_watched_without_its_file_system(apps: Apps) -> None:
    apps.stack.prometheus.wait_for('node_load1{job="node"}')
    assert apps.stack.prometheus.query("node_filesystem_size_bytes") == []


def test_a_database_that_is_gone_shows_in_pg_up_for_its_exporter_stays(apps: Apps) -> None:
    apps.postgres.kill()
    apps.stack.prometheus.wait_for('pg_up{job="postgres"} == 0 and on (job) up{job="postgres"} == 1')
    apps.postgres.start()
    apps.postgres.wait_ready()
    apps.stack.prometheus.wait_for('pg_up{job="postgres"} == 1')


def test_a_redis_that_is_gone_shows_in_redis_up_for_its_exporter_stays(apps: Apps) -> None:
    apps.redis.kill()
    apps.stack.prometheus.wait_for('redis_up{job="redis"} == 0 and on (job) up{job="redis"} == 1')
    apps.redis.start()
    apps.redis.wait_ready()
    apps.stack.prometheus.wait_for('redis_up{job="redis"} == 1')
