"""The example blog under `blogauto-otel dev`: an application with its inspector, as a developer runs them."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testkit.ports import free_port
from testkit.processes import TIMEOUT, Process, eventually, running

SCRIPTS = Path(sys.executable).parent
ADDRESS = re.compile(r"blogauto-otel dev: (http://\S+)")


@dataclass(frozen=True)
class InspectedBlog:
    """A running blog and the address of its inspector's page, which carries the token."""

    process: Process
    url: str
    address: str

    @property
    def page(self) -> str:
        """The address of the page without the token."""
        return self.address.partition("/?")[0]


@contextlib.contextmanager
def inspected_blog(folder: Path, **variables: str) -> Iterator[InspectedBlog]:
    """`blogauto-otel dev -- uvicorn examples.blog.main:app`, with database and log in the folder."""
    port = free_port()
    database = folder / "blog.db"
    server = [str(SCRIPTS / "uvicorn"), "examples.blog.main:app", "--port", str(port)]
    dev = [str(SCRIPTS / "blogauto-otel"), "dev", "--port", str(free_port()), "--database", f"sqlite:///{database}"]
    variables = {"OTEL_SERVICE_NAME": "blog", "BLOG_DATABASE_URL": f"sqlite+aiosqlite:///{database}", **variables}
    with running([*dev, "--", *server], folder / "dev.log", port=port, **variables) as process:
        found = eventually(lambda: ADDRESS.search(process.output), timeout=TIMEOUT, what="the address of the page")
        assert found is not None
        process.wait_until_it_answers("/api/health")
        yield InspectedBlog(process, process.url, found[1])
