"""Real servers that receive Sentry events, each in an environment of its own: bugsink, and the simpler kent.

bugsink's licence (PolyForm Shield) lets it be used and not be redistributed: it is installed from its registry, and no
part of it is here.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testkit.envelope_receiver import Event
from testkit.environments import environment as made_with
from testkit.ports import free_port
from testkit.processes import TIMEOUT, environment, running

Header = Mapping[str, str]


def ask(url: str, headers: Header = {}) -> Any:  # noqa: B006 - only read
    with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=TIMEOUT) as answer:
        return json.loads(answer.read())


# --- bugsink ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bugsink:
    """A running bugsink with one project."""

    url: str
    dsn: str
    token: str

    @property
    def events(self) -> list[Event]:
        """All events of all issues, as its API gives them back."""
        found = []
        for issue in self._all("issues/?project=1"):
            for event in self._all(f"events/?issue={issue['id']}"):
                data = self._get(f"events/{event['id']}/")["data"]
                found.append(Event(data if isinstance(data, dict) else json.loads(data)))
        return found

    def _all(self, path: str) -> Iterator[Mapping[str, Any]]:
        """All pages of a list."""
        url: str | None = f"{self.url}/api/canonical/0/{path}"
        while url:
            page = ask(url, {"Authorization": f"Bearer {self.token}"})
            yield from page["results"]
            url = page.get("next")

    def _get(self, path: str) -> Any:
        return ask(f"{self.url}/api/canonical/0/{path}", {"Authorization": f"Bearer {self.token}"})


@contextlib.contextmanager
def bugsink(folder: Path) -> Iterator[Bugsink]:
    """Create and run a bugsink in this folder."""
    programs = made_with("bugsink", "bugsink==2.6.1").parent
    port = free_port()
    variables = environment(PYTHONPATH=str(folder), DJANGO_SETTINGS_MODULE="bugsink_conf")

    def run(program: str, *arguments: str) -> str:
        command = [str(programs / program), *arguments]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("bugsink-create-conf", "--template=local", "--host=127.0.0.1", f"--port={port}")
    configuration = folder / "bugsink_conf.py"
    quiet = f'BUGSINK = {{\n    "PHONEHOME": False,\n    "INGEST_STORE_BASE_DIR": {str(folder / "ingestion")!r},'
    configuration.write_text(configuration.read_text().replace("BUGSINK = {", quiet))
    run("bugsink-manage", "migrate", "--verbosity", "0")
    run("bugsink-manage", "migrate", "--verbosity", "0", "--database=snappea")
    token = run("bugsink-manage", "create_auth_token").split()[-1]
    make = "from projects.models import Project; print(Project.objects.create(name='t', slug='t').dsn)"
    dsn = run("bugsink-manage", "shell", "-c", make).split()[-1]
    serve = [str(programs / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--threads", "2", "bugsink.wsgi"]
    command = ["env", "-C", str(folder), f"PYTHONPATH={folder}", *serve]
    with running(command, folder / "bugsink.log", port=port, DJANGO_SETTINGS_MODULE="bugsink_conf") as child:
        child.wait_until_it_answers("/health/ready")
        yield Bugsink(f"http://127.0.0.1:{port}", dsn, token)


# --- kent -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kent:
    """A running kent."""

    url: str

    @property
    def dsn(self) -> str:
        return self.url.replace("://", "://public@") + "/1"

    @property
    def events(self) -> list[Event]:
        """All events, as its API gives them back."""
        listed = ask(f"{self.url}/api/eventlist/")["events"]
        return [Event(ask(f"{self.url}/api/event/{entry['event_id']}")["payload"]["body"]) for entry in listed]


@contextlib.contextmanager
def kent(folder: Path) -> Iterator[Kent]:
    """Run a kent."""
    programs, port = made_with("kent", "kent==2.2.0").parent, free_port()
    command = [str(programs / "kent-server"), "run", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder / "kent.log", port=port) as child:
        child.wait_until_it_answers("/")
        yield Kent(f"http://127.0.0.1:{port}")
