"""The blog under uvicorn as a child process of the demos; at its end it writes its delivery figures."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testkit.ports import LOOPBACK, free_port
from testkit.processes import Process

PRICES = Path(__file__).parent / "blog" / "prices.json"
SECOND = "1000"  # OpenTelemetry's intervals are in milliseconds


class Blog(Process):
    """The running blog."""

    delivered_file: Path

    def delivered(self) -> Mapping[str, Any]:
        """The delivery figures of `Telemetry.status()` at the end of the process, after `stop()`."""
        status: Mapping[str, Any] = json.loads(self.delivered_file.read_text())
        return status["delivery"]  # type: ignore[no-any-return]


def start_blog(*, tmp: Path, otlp_endpoint: str, port: int | None = None) -> Blog:
    """Start the blog: telemetry to `otlp_endpoint`, metrics every second; log and database under `tmp`."""
    port = port or free_port()
    url = f"http://{LOOPBACK}:{port}"
    env = {
        "BLOG_DATABASE_URL": f"sqlite+aiosqlite:///{tmp / 'blog.db'}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": SECOND,
        "BLOGAUTO_OTEL_AI_PRICES": str(PRICES),
    }
    delivered = tmp / "delivered.json"
    command = [sys.executable, "-m", "examples.blog_process", str(port), str(delivered)]
    blog = Blog("blog", command, ready_url=f"{url}/api/health", log=tmp / "blog.log", url=url, env=env)
    blog.delivered_file = delivered
    return blog


def _serve(port: int, delivered: Path) -> None:
    """What `uvicorn examples.blog.main:app` does, and then write the figures, which are final only after shutdown."""
    import uvicorn

    from examples.blog.main import app, telemetry

    # uvicorn shuts down on SIGTERM, then raises it again for the previous handler; ignore it there to write the file.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(app, host=LOOPBACK, port=port, log_level=os.environ.get("BLOG_LOG_LEVEL", "info"))
    telemetry.shutdown()
    delivered.write_text(json.dumps(telemetry.status().as_dict(), default=str))


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
