"""No working directory, no environment, no home, no temporary directory, umask 0."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result

endpoint, spool = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], os.environ["BLOGAUTO_OTEL_SPOOL_DIR"]

directory = tempfile.mkdtemp()
os.chdir(directory)
Path(directory).rmdir()
os.umask(0)
os.environ.clear()
if sys.argv[1] != "empty":
    os.environ.update(HOME="/proc/nowhere", TMPDIR="/proc/nowhere", LC_ALL="C", TZ="No/Where")
if sys.argv[1] == "spool":
    os.environ["BLOGAUTO_OTEL_SPOOL_DIR"] = spool

# A service name of its own: without an environment, the spool in the home of the user is within reach.
telemetry = blogauto_otel.configure(endpoint=endpoint, console="json", service_name="from-nowhere")
for _ in range(10):
    with trace.get_tracer("faults").start_as_current_span("from nowhere"):
        pass
flushed = telemetry.force_flush()
complete = telemetry.shutdown()
found = [Path(spool), *Path(spool).rglob("*")] if Path(spool).exists() else []
print_result(
    {
        "flushed": flushed,
        "complete": complete,
        "modes": sorted({oct(stat.S_IMODE(path.stat().st_mode)) for path in found}),
    }
)
