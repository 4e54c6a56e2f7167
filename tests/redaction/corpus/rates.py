"""Measure how many secrets of the corpus a redactor misses and how many clean texts it cuts.

python -m tests.redaction.corpus.rates               the package's redactor
python -m tests.redaction.corpus.rates --collector   and the real Collector's stage beside it, with its cost
python -m tests.redaction.corpus.rates --list        each text that is missed or cut
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blogauto_otel.redaction import Redactor
from tests.redaction.corpus.known_clean import known_clean
from tests.redaction.corpus.samples import Sample
from tests.redaction.corpus.secrets import secrets

MOST_MISSED: Final = 0.05
MOST_CUT: Final = 0.02


@dataclass(frozen=True)
class Rates:
    """What went wrong, of how many."""

    missed: tuple[Sample, ...]
    cut: tuple[Sample, ...]
    of_secrets: int
    of_clean: int

    @property
    def miss_rate(self) -> float:
        """The share of secrets of which a part is left."""
        return len(self.missed) / self.of_secrets

    @property
    def false_positive_rate(self) -> float:
        """The share of clean texts that are changed."""
        return len(self.cut) / self.of_clean

    def __str__(self) -> str:
        return (
            f"missed {len(self.missed)} of {self.of_secrets} secrets ({self.miss_rate:.1%}), "
            f"cut {len(self.cut)} of {self.of_clean} clean texts ({self.false_positive_rate:.1%})"
        )


def measure(redact: Callable[[Sequence[str]], Sequence[str]]) -> Rates:
    """The rates of a function that takes all texts and returns them redacted, in order."""
    bad, good = list(secrets()), list(known_clean())
    redacted = redact([sample.text for sample in (*bad, *good)])
    return Rates(
        missed=tuple(one for one, text in zip(bad, redacted, strict=False) if one.leaks(text)),
        cut=tuple(one for one, text in zip(good, redacted[len(bad) :], strict=True) if one.text != text),
        of_secrets=len(bad),
        of_clean=len(good),
    )


def of_the_package() -> Rates:
    """The rates of the package's redactor with its default settings."""
    redactor = Redactor()
    return measure(lambda texts: [redactor.text(text) for text in texts])


def main(arguments: Sequence[str]) -> int:
    """Print the rates; the exit status says whether the package keeps within its bounds."""
    found = {"package": of_the_package()}
    if "--collector" in arguments:
        from tests.redaction.corpus.collector import cost_in, of_the_collector

        with tempfile.TemporaryDirectory() as folder:
            found["Collector"] = of_the_collector(Path(folder))
            print(f"Collector: {cost_in(Path(folder))}")
    for name, rates in found.items():
        print(f"{name}: {rates}")
        if "--list" in arguments:
            for sample in rates.missed:
                print(f"  missed {sample.text!r}")
            for sample in rates.cut:
                print(f"  cut    {sample.text!r}")
    package = found["package"]
    return int(package.miss_rate > MOST_MISSED or package.false_positive_rate > MOST_CUT)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
