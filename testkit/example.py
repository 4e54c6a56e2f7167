"""The example application as a real server, configured by call or by launcher, with traffic."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from examples import traffic
from examples.blog_process import PRICES
from testkit.processes import Process, running

SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True)
class Blog:
    """A running example."""

    child: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.child.port}"

    def traffic(self) -> None:
        """Send each kind of request once."""
        for visit in traffic.KINDS.values():
            visit(self.url)


@contextlib.contextmanager
def example(
    folder: Path,
    endpoint: str,
    *,
    port: int,
    launcher: bool = False,
    app: str = "examples.blog.main:app",
    **variables: str,
) -> Iterator[Blog]:
    """`uvicorn APP`, or the application without our call under `opentelemetry-instrument`."""
    app = "examples.blog.app:app" if launcher else app
    server = [str(SCRIPTS / "uvicorn"), app, "--port", str(port), "--log-level", "info"]
    command = [str(SCRIPTS / "opentelemetry-instrument"), *server] if launcher else server
    log = folder / f"blog-{port}.log"
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "BLOGAUTO_OTEL_AI_PRICES": str(PRICES),
        "BLOG_DATABASE_URL": f"sqlite+aiosqlite:///{folder / f'blog-{port}.db'}",
        **variables,
    }
    with running(command, log, port=port, **variables) as child:
        child.wait_until_it_answers("/api/health")
        yield Blog(child)
