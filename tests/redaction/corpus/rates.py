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
from tests.redaction.corpus.held_out import held_out_clean, held_out_secrets
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


Redact = Callable[[Sequence[str]], Sequence[str]]  # all texts in one call, and back in the same order


@dataclass(frozen=True)
class Corpus:
    """Texts with secrets, and texts without."""

    secrets: tuple[Sample, ...]
    clean: tuple[Sample, ...]


CORPUS: Final = Corpus(tuple(secrets()), tuple(known_clean()))
HELD_OUT: Final = Corpus(tuple(held_out_secrets()), tuple(held_out_clean()))


def measure(redact: Redact, corpus: Corpus = CORPUS) -> Rates:
    """The rates of one function on a corpus."""
    [rates] = measure_each(redact, corpus)
    return rates


def measure_each(redact: Redact, *corpora: Corpus) -> list[Rates]:
    """The same for several corpora, which are redacted together."""
    redacted = iter(redact([one.text for corpus in corpora for one in (*corpus.secrets, *corpus.clean)]))
    return [
        Rates(
            missed=tuple(one for one, text in zip(corpus.secrets, redacted, strict=False) if one.leaks(text)),
            cut=tuple(one for one, text in zip(corpus.clean, redacted, strict=False) if one.text != text),
            of_secrets=len(corpus.secrets),
            of_clean=len(corpus.clean),
        )
        for corpus in corpora
    ]


def of_the_package(corpus: Corpus = CORPUS) -> Rates:
    """The rates of the package's redactor with its default settings."""
    return measure(package, corpus)


def package(texts: Sequence[str]) -> Sequence[str]:
    """Redact as the package does with its default settings."""
    redactor = Redactor()
    return [redactor.text(text) for text in texts]


def main(arguments: Sequence[str]) -> int:
    """Print the rates; the exit status says whether each redactor keeps within the bounds on both corpora."""
    redactors: dict[str, Redact] = {"package": package}
    if "--collector" in arguments:
        from tests.redaction.corpus.collector import cost_in, through_the_collector

        with tempfile.TemporaryDirectory() as folder:
            print(f"Collector: {cost_in(Path(folder))}")
        redactors["Collector"] = through_the_collector
    is_within = True
    for name, redact in redactors.items():
        for kind, rates in zip(("corpus", "held out"), measure_each(redact, CORPUS, HELD_OUT), strict=True):
            print(f"{name}, {kind}: {rates}")
            is_within = is_within and rates.miss_rate <= MOST_MISSED and rates.false_positive_rate <= MOST_CUT
            if "--list" in arguments:
                for verb, samples in (("missed", rates.missed), ("cut   ", rates.cut)):
                    for sample in samples:
                        print(f"  {verb} {sample.text!r}")
    return int(not is_within)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
