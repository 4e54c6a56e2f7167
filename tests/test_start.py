"""What a process imports to configure telemetry: less is a faster start and less memory."""

from __future__ import annotations

import json
import subprocess

import pytest

from testkit.processes import ROOT, environment, python

SCRIPT = """
import json, sys
import blogauto_otel
blogauto_otel.configure(console="off", endpoint="http://127.0.0.1:9", spool_dir="off")
print(json.dumps(sorted(sys.modules)))
"""

NEEDLESS = {
    "blogauto_otel.api.ai_prices": "the settings name a price table",
    "blogauto_otel.integrations.prometheus.text": "a scrape comes",
    "difflib": "a name is misspelt",
    "fastapi": "the application imports it",
    "google.protobuf": "never: our own encoder",
    "grpc": "gRPC is chosen",
    "gzip": "a scrape asks for it",
    "http.client": "never: our own client",
    "httpx": "the application imports it",
    "logging.config": "the application configures logging with it",
    "multiprocessing": "the application imports it",
    "packaging": "an instrumented client library is imported",
    "psutil": "a detector of processes is chosen",
    "redis": "the application imports it",
    "requests": "the application imports it",
    "sentry_sdk": "a DSN is set",
    "socketserver": "`logging.config` is imported",
    "sqlalchemy": "the application imports it",
    "urllib.request": "never: our own client",
    "wrapt": "an instrumented client library is imported",
    "yaml": "a configuration file is named",
}


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules of a process that has configured telemetry and nothing else."""
    command = python("-c", SCRIPT)
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(("module", "when"), NEEDLESS.items(), ids=NEEDLESS)
def test_a_module_is_imported_only_when(module: str, when: str, imported: set[str]) -> None:
    assert module not in imported, f"needed when: {when}"
