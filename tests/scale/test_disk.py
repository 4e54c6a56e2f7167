"""A full disk: an agent whose queue cannot grow refuses, and loses nothing that it has acknowledged."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.processes import eventually, start_collector
from testkit import otlp
from tests.scale.topology import items_of

pytestmark = pytest.mark.stack

SPANS = 500  # in a request


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; mounting needs root, as CI has it."""
    directory = tmp_path / "queue"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(directory)], check=True, capture_output=True)
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_an_agent_on_a_full_disk_refuses_and_delivers_what_it_has_acknowledged(
    small_disk: Path, tmp_path: Path
) -> None:
    with start_collector(("export-file",), tmp=tmp_path / "next") as following:
        following.kill()
        env = {
            "OTELCOL_NEXT_ENDPOINT": f"127.0.0.1:{following.ports['GRPC']}",
            "OTELCOL_STORAGE_DIR": str(small_disk),
        }
        with start_collector(("tier-agent",), tmp=tmp_path / "agent", env=env) as agent:
            accepted: set[str] = set()
            statuses = []
            for _ in range(60):
                spans = [otlp.span(attributes=otlp.SERVER_ATTRIBUTES) for _ in range(SPANS)]
                statuses.append(otlp.post(agent.endpoint, otlp.traces(spans)))
                if statuses[-1] == 200:
                    accepted |= {f"{span.trace_id.hex()}/{span.span_id.hex()}" for span in spans}
            assert 0 < len(accepted) < 60 * SPANS
            assert set(statuses) == {200, 503}, "503: the sender keeps it and comes again"
            assert agent.alive
            following.start()
            following.wait_ready()
            eventually(lambda: items_of(following).spans >= accepted, timeout=90.0, what="all that was accepted")
            again = otlp.traces([otlp.span()])
            eventually(lambda: otlp.post(agent.endpoint, again) == 200, timeout=30.0, what="room on the disk again")
