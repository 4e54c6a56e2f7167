"""`python -m tests.doctor`: break one hop after the other, and print which hop the command names."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.doctor.scenarios import BROKEN, Change, run_doctor, title, whole_stack


def main(chosen: Sequence[str] = ()) -> int:
    """Print the table, or the lines of the chosen scenarios; 0 when each run names its hop."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, whole_stack(Path(folder)) as deployment:
        print("| what is broken | the hop that is named | fix |\n| --- | --- | --- |")
        healthy = run_doctor(deployment, Change())
        print(f"| nothing | {healthy.first_broken or 'none'} | |", flush=True)
        for scenario, expected, _ in BROKEN:
            if chosen and title(scenario) not in chosen:
                continue
            report = run_doctor(deployment, scenario(deployment))
            wrong += report.first_broken != expected
            print(f"| {title(scenario)} | {report.first_broken} | {report.document['fix']} |", flush=True)
    print(f"{wrong} wrong", file=sys.stderr)
    return 1 if wrong or healthy.first_broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
