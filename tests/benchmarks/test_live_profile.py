"""The profile of a live server: what `perf script` prints, by function."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testkit.processes import ROOT, python

SCRIPT = """\
python 13436  2506.092520:    5025125 cpu-clock:pppH:
\t          1b611f PyDict_GetItemWithError+0x3f (/usr/lib/libpython3.12.so.1.0)
\t    7f13c9000 py::Request.send:/srv/app/blogauto_otel/instrumentation/server/request.py+0x5 (/tmp/perf-1.map)
\t    7f13c9001 py::Response.__call__:/venv/lib/python3.12/site-packages/starlette/responses.py+0x5 (/tmp/perf-1.map)

python 13436  2506.097552:    5025125 cpu-clock:pppH:
\t    7f13c9002 py::build.<locals>.full:/srv/app/benchmarks/load/application.py+0x5 (/tmp/perf-1.map)

python 13436  2506.102582:    5025125 cpu-clock:pppH:
\t          10e4d4 _raw_spin_unlock_irqrestore+0x11 ([kernel.kallsyms])
"""


def test_a_sample_counts_for_the_innermost_python_function(tmp_path: Path) -> None:
    (tmp_path / "script.txt").write_text(SCRIPT)
    command = python("-m", "benchmarks", "live_profile", "--script", str(tmp_path / "script.txt"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[5:]]
    assert rows == [
        ["1.00", "blogauto_otel/instrumentation/server/request.py: Request.send"],
        ["1.00", "/srv/app/benchmarks/load/application.py: build.<locals>.full"],
        ["1.00", "outside of Python"],
    ]
