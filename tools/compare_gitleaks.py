"""Compare the table of issuers with gitleaks' rules: print the prefixes that the table lacks.

    python -m tools.compare_gitleaks path/to/gitleaks.toml

A list of facts to look at, not an update by itself: many rules there need the name of the service beside the token, and
those are covered by names (`keys`).
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from blogauto_otel.redaction.issuers import ISSUERS
from blogauto_otel.redaction.patterns import PATTERNS, TOKENS

# A rule that begins with a prefix and then the alphabet of the token. A rule that needs a name contains a sign.
_PREFIX: Final = re.compile(r"^(?:\(\?i\))?\(?(?:\\b)?\(?([A-Za-z0-9][\w\-.\\]{2,24}?)(?:\(\?i\))?[\[(\\]")
_NEEDS_A_NAME: Final = r"(?:=|>|:{1,3}="


def prefixes(rules: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The id of each rule whose expression begins with a prefix, and that prefix."""
    for rule in rules:
        expression = rule.get("regex", "")
        found = None if _NEEDS_A_NAME in expression else _PREFIX.match(expression)
        if found:
            yield rule["id"], found[1].replace("\\", "")


def unknown(rules: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The prefixes that are in no row of our table."""
    known = [prefix for issuer in ISSUERS for prefix in issuer.prefixes]
    known += [trigger for pattern in (*PATTERNS, *TOKENS) for trigger in pattern.triggers if trigger]
    return [
        (rule, prefix)
        for rule, prefix in prefixes(rules)
        if not any(one.lower() in prefix.lower() or prefix.lower() in one.lower() for one in known)
    ]


def main(arguments: Sequence[str]) -> int:
    """Print the prefixes that the table lacks."""
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    rules = tomllib.loads(Path(arguments[0]).read_text())["rules"]
    for rule, prefix in unknown(rules):
        print(f"{rule}: {prefix}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
