"""The example blog under `blogauto-otel dev`: an application with its inspector, as a developer runs them."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testkit.ports import LOOPBACK, free_port
from testkit.processes import TIMEOUT, Process, eventually, get, running

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
    database = f"{folder / 'blog.db'}"
    server = [str(SCRIPTS / "uvicorn"), "examples.blog.main:app", "--port", str(port)]
    dev = [str(SCRIPTS / "blogauto-otel"), "dev", "--port", str(free_port()), "--database", f"sqlite:///{database}"]
    env = {"OTEL_SERVICE_NAME": "blog", "BLOG_DATABASE_URL": f"sqlite+aiosqlite:///{database}", **variables}
    with running([*dev, "--", *server], folder / "dev.log", **env) as process:
        found = eventually(lambda: ADDRESS.search(process.output), timeout=TIMEOUT, what="the address of the page")
        assert found is not None
        url = f"http://{LOOPBACK}:{port}"
        eventually(lambda: _answers(url), timeout=TIMEOUT, what=f"the blog, {process.output}")
        yield InspectedBlog(process, url, found[1])


def _answers(url: str) -> bool:
    try:
        return get(f"{url}/api/health")[0] == 200
    except OSError:
        return False
