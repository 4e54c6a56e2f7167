"""What collector/README.md says is true: its example runs, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stack.processes import COLLECTOR, Stack, eventually
from testkit import otlp
from testkit.receiver import Receiver
from tests.stack.overlays import COMPOSE, OVERLAYS

README = (COLLECTOR / "README.md").read_text()


def table(heading: str) -> dict[str, list[str]]:
    """Rows of the first table below a heading, by their first cell without backticks."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in row] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_overlay_is_in_the_table() -> None:
    assert table("Overlays").keys() == {"base.yaml", *(f"{name}.yaml" for name in OVERLAYS)}


def test_an_overlay_reads_and_needs_what_the_table_says() -> None:
    for name, (_adds, reads, needs) in table("Overlays").items():
        text = (COLLECTOR / name).read_text()
        assert all(f"forward/{stage}" in text for stage in re.findall(r"`(\w+_(?:all|kept))`", reads)), name
        assert all(f"${{env:{variable}" in text for variable in re.findall(r"`([A-Z0-9_]+)`", needs)), name


def test_every_variable_is_in_the_table_with_its_default() -> None:
    files = "".join(path.read_text() for path in COLLECTOR.glob("*.yaml"))
    used = dict(re.findall(r"\$\{env:([A-Z0-9_]+)(?::-([^}]*))?\}", files))
    listed = {name: cells[0].strip("`") for name, cells in table("Variables").items()}
    assert listed == used


def test_queue_sizes_follow_from_the_assumptions() -> None:
    section = README.split("\n### Queue sizes\n", 1)[1].split("\n### ", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    columns = [[int(cell.replace(",", "")) for cell in column] for column in list(zip(*rows[2:], strict=True))[1:]]
    sizes = []
    for rate, outage, size_of_item, queue_size, disk in columns:
        assert queue_size == rate * outage
        assert disk == 3 * queue_size * size_of_item / 1_000_000
        sizes.append(queue_size)
    variables = table("Variables")
    names = ("OTELCOL_AGENT_QUEUE_ITEMS", "OTELCOL_GATEWAY_QUEUE_ITEMS", "OTELCOL_KAFKA_QUEUE_ITEMS")
    assert [int(variables[name][0].strip("`")) for name in names] == [sizes[0], sizes[1], sizes[1]]


def test_the_overlays_that_compose_loads_are_named() -> None:
    (sentence,) = re.findall(r"docker-compose\.yml loads (.*)\.", README)
    assert set(re.findall(r"`([\w-]+)`", sentence)) == set(COMPOSE)


@pytest.mark.stack
def test_a_shop_in_any_language_reuses_it_with_two_variables_and_one_file(tmp_path: Path) -> None:
    """The service sends plain OTLP; the file is the one in the README."""
    (example,) = re.findall(r"```yaml\n(# shop\.yaml\n.*?)```", README, re.DOTALL)
    (tmp_path / "shop.yaml").write_text(example)
    with Receiver() as team:
        environment = {"SHOP_OTLP_ENDPOINT": team.url}
        extra = [f"file:{tmp_path / 'shop.yaml'}"]
        with Stack(tmp_path, env=environment, extra=extra) as stack:
            for service in ("shop", "blogauto-backend"):
                resource = {"service.name": service}
                endpoint = stack.collector.endpoint
                assert otlp.post(endpoint, otlp.traces([otlp.span(f"of {service}")], resource)) == 200
                assert otlp.post(endpoint, otlp.metrics([otlp.counter("orders", 3)], resource)) == 200
                assert otlp.post(endpoint, otlp.logs([otlp.record("hello")], resource)) == 200
            stack.prometheus.wait_for('orders_total{job="shop"} == 3')
            eventually(stack.jaeger.services, lambda found: set(found) == {"shop", "blogauto-backend"})
            eventually(stack.collector.logs, lambda found: len(found) == 2)
            team.wait_for(lambda team: team.spans)
        assert {span.name for span in team.spans} == {"of shop"}
