"""`python -m blogauto_otel`: the command line, where the script `blogauto-otel` is not on the path."""

from __future__ import annotations

from blogauto_otel.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
