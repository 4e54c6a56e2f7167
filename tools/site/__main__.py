"""Build the site: `python -m tools.site [build | serve]`, with the options of MkDocs after the word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
STRICT: Final = ("--strict",)
# Material announces its successor at each build: docs/decisions/0080 has considered it.
QUIET: Final = {"NO_MKDOCS_2_WARNING": "true"}


def main(words: list[str]) -> int:
    """Run MkDocs and return its exit status: 0, or 1 where a link, an anchor or a page of the navigation is wrong."""
    word, options = (words[0], words[1:]) if words else ("build", [])
    command = [sys.executable, "-m", "mkdocs", word, *STRICT, *options]
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, **QUIET}, check=False).returncode
    if status == 0 and word == "build" and not options:
        print("build/site/index.html; `python -m tools.site serve` shows it at http://127.0.0.1:8000 while you edit")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
