"""The tables and the picture of docs/scale.md and docs/sizing.md, from the simulation and from measured.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from tools.scale import agents, sizing

ROOT: Final = Path(__file__).resolve().parents[2]
SCALE: Final = ROOT / "docs" / "scale.md"
SIZING: Final = ROOT / "docs" / "sizing.md"
STORM: Final = ROOT / "docs" / "images" / "retry-storm.svg"
EXAMPLES: Final = (10, 1_000, 100_000)
# Items a second and core. Splunk: Collector sizing guide; OTel-Arrow: phase 2 report, log records through one core.
PUBLISHED: Final = {
    "Splunk's sizing guide": {"spans": 15_000, "points": 20_000, "records": 10_000},
    "OTel-Arrow's report": {"records": 200_000},
}
Rows = Sequence[Sequence[str]]


def table(header: Sequence[str], rows: Rows) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


# -- throughput


def throughput(measured: Mapping[str, Any]) -> str:
    """Items a second and core, by tier and number of processes, beside published figures."""
    rows = []
    for tier, counts in measured["cost"].items():
        for count, cost in counts.items():
            rows.append(
                [
                    tier,
                    str(count),
                    *(f"{1e6 / cost[signal]:,.0f}" if cost.get(signal) else "" for signal in sizing.SIGNALS),
                ]
            )
    for source, known in PUBLISHED.items():
        rows.append(
            [f"*{source}*", "", *(f"{known[signal]:,}" if signal in known else "" for signal in sizing.SIGNALS)]
        )
    return table(("tier", "processes", "spans", "points", "log records"), rows)


def growth(measured: Mapping[str, Any]) -> str:
    """CPU of an item with the most processes, divided by that with one."""
    rows = []
    for tier, counts in measured["cost"].items():
        numbers = sorted(counts, key=int)
        if len(numbers) > 1:
            first, last = counts[numbers[0]], counts[numbers[-1]]
            rows.append([tier, *(f"{last[signal] / first[signal]:.2f}" for signal in sizing.SIGNALS)])
    return table(("tier", "spans", "points", "log records"), rows)


def bytes_per_item(measured: Mapping[str, Any]) -> str:
    """Bytes of an item on the wire, in a queue and in Kafka."""
    rows = [
        [place, *(f"{found[signal]:,.0f}" for signal in sizing.SIGNALS)] for place, found in measured["size"].items()
    ]
    return table(("bytes of", "a span", "a point", "a log record"), rows)


# -- sizing


def assumptions() -> str:
    """The assumptions and their values."""
    assumed = sizing.Assumptions()
    return table(
        ("assumption", "value"),
        [[f"`{one.name}`", f"{getattr(assumed, one.name):,g}"] for one in fields(sizing.Assumptions)],
    )


def examples(measured: Mapping[str, Any], loads: Sequence[float] = EXAMPLES) -> str:
    """One table for each load."""
    parts = []
    for requests in loads:
        plan = sizing.plan(requests, measured=measured)
        rows = [[one.what, _number(one), one.basis] for one in plan.figures]
        parts.append(f"**{requests:,} requests a second: {plan.layout}**\n\n{table(('', '', ''), rows)}")
    return "\n\n".join(parts)


def _number(figure: sizing.Figure) -> str:
    value = (
        f"{figure.value:,.0f}" if figure.value >= 100 or figure.value == int(figure.value) else f"{figure.value:.2g}"
    )
    return f"{value} {figure.unit}".strip()


# -- the simulation


def connections() -> str:
    """Open connections with and without Kafka."""
    rows = [
        [f"{count} agents, {gateways} gateways, {samplers} samplers", *map(str, found.values())]
        for count, gateways, samplers in ((10, 2, 2), (100, 4, 4), (1_000, 16, 16))
        for found in [agents.connections(count, gateways, samplers, brokers=3)]
    ]
    return table(("", *agents.connections(1, 1, 1, 1)), rows)


def storms() -> dict[str, agents.Storm]:
    """The end of an outage of ten minutes, with and without jitter, before a next tier that is fast or slow."""
    return {
        f"{'jitter' if jitter else 'no jitter'}, {capacity:g} requests/s": agents.storm(
            agents.Outage(capacity=capacity), agents.Backoff(jitter=jitter)
        )
        for capacity in (100.0, 40.0)
        for jitter in (0.5, 0.0)
    }


def storm_table(found: Mapping[str, agents.Storm]) -> str:
    """Their figures."""
    rows = [
        [
            name,
            str(one.busiest_before),
            str(one.busiest_after),
            str(one.late),
            f"{one.all_reached:.0f}",
            f"{one.drained:.0f}",
        ]
        for name, one in found.items()
    ]
    header = ("", "busiest 100 ms of the outage", "busiest 100 ms after it", "requests that were too late")
    return table((*header, "s until all had an answer", "s until all queues were empty"), rows)


def rebalances() -> str:
    """Rolling restarts of the readers of a topic."""
    rows = []
    for readers, partitions in ((4, 12), (10, 48)):
        for name, sticky in (("range", False), ("cooperative-sticky", True)):
            for killed in (False, True):
                one = agents.rolling_restart(readers, partitions, sticky=sticky, killed=killed)
                how = "killed" if killed else "stopped"
                rows.append([f"{readers} of {partitions}", name, how, str(one.moves), f"{one.stopped:,.0f}"])
    return table(("readers, partitions", "strategy", "each is", "partitions moved", "s without a reader, summed"), rows)


def skew() -> str:
    """The busiest partition and sampler."""
    loads = {
        "100,000 traces, by trace id": agents.traces(100_000),
        "100 processes, by resource": agents.processes(100),
        "1,600 processes, by resource": agents.processes(1_600),
        "400 processes, one 40 times as busy": agents.processes(400, busy=40),
        "20 services of unequal size, by service": agents.services(20),
    }
    rows = [[n, f"{agents.kafka_skew(load, 12):.2f}", f"{agents.ring_skew(load, 4):.2f}"] for n, load in loads.items()]
    return table(("keys", "busiest of 12 partitions / mean", "busiest of 4 samplers / mean"), rows)


def storm_picture(found: Mapping[str, agents.Storm]) -> str:
    """Requests in each second around the end of the outage, with and without jitter, as SVG."""
    first, last, width, height, left = -60, 120, 860, 150, 60
    shown = [(name, one) for name, one in found.items() if "100 requests" in name]
    most = max(one.seconds.get(second, 0) for _name, one in shown for second in range(first, last))
    step = (width - left) / (last - first)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 20} {2 * (height + 50)}" role="img" '
        'aria-label="Requests of a hundred agents in each second around the end of an outage" '
        'font-family="system-ui, sans-serif" font-size="13">'
    )
    parts = [head, f'<rect width="{width + 20}" height="{2 * (height + 50)}" rx="12" fill="#ffffff"/>']
    for row, (name, one) in enumerate(shown):
        base = row * (height + 50) + height + 20
        parts.append(f'<text x="{left}" y="{base - height}" fill="#0f172a" font-weight="600">{name}</text>')
        parts.append(f'<text x="{left - 6}" y="{base - height + 34}" fill="#475569" text-anchor="end">{most}</text>')
        outage = f'x="{left}" y="{base - height + 24}" width="{-first * step:.0f}" height="{height - 24}"'
        parts.append(f'<rect {outage} fill="#fee2e2"/>')
        for second in range(first, last):
            tall = one.seconds.get(second, 0) / most * (height - 24)
            x = left + (second - first) * step
            parts.append(
                f'<rect x="{x:.1f}" y="{base - tall:.1f}" width="{step - 1:.1f}" height="{tall:.1f}" fill="#2563eb"/>'
            )
        parts.append(f'<path d="M{left} {base} H{width}" stroke="#475569"/>')
        for second in range(first, last + 1, 30):
            x = left + (second - first) * step
            parts.append(f'<text x="{x:.0f}" y="{base + 16}" fill="#475569" text-anchor="middle">{second} s</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


# -- writing


def fill(text: str, blocks: Mapping[str, str]) -> str:
    """The text with each block between its markers.

    Raises:
        ValueError: The text has no such markers.
    """
    for name, block in blocks.items():
        begin, end = f"<!-- {name}:begin (python -m tools.scale --write) -->\n", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        if not after:
            raise ValueError(f"no place for {name}")
        text = f"{before}{begin}\n{block}\n\n{end}{after}"
    return text


def contents() -> dict[Path, str]:
    """Every generated file as it should be."""
    measured, found = sizing.load_measured(), storms()
    scale = {"connections": connections(), "storms": storm_table(found), "rebalances": rebalances(), "skew": skew()}
    sizes = {
        "throughput": throughput(measured),
        "growth": growth(measured),
        "bytes": bytes_per_item(measured),
        "assumptions": assumptions(),
        "examples": examples(measured),
    }
    return {
        SCALE: fill(SCALE.read_text(), scale),
        SIZING: fill(SIZING.read_text(), sizes),
        STORM: storm_picture(found),
    }
