"""The minimum CPU seconds of the redactor for texts built to make it slow.

Other processes on the machine lengthen them, because a thread that is interrupted finds its caches cold, and so does a
slower processor. A reference job tells by how much: its time is known on the idle machine for which the limit was set.
Times are divided by that ratio.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from blogauto_otel import config
from blogauto_otel.redaction import Redactor, build_redactor
from testkit.results import print_result
from tests.redaction.hostile import HOSTILE

ROUNDS: Final = 5
TIMEOUT: Final = 60.0  # seconds for further rounds altogether, because other processes slow a loaded machine down
ENOUGH: Final = 0.0045
ENOUGH_GROWTH: Final = 5.0
# Below the length limit: truncation would make any algorithm look linear.
SMALL, LARGE = 4_000, 16_000

settings = config.load().settings
asking: dict[str, Callable[[Redactor, str], object]] = {
    "text": lambda redactor, text: redactor.text(text),
    "url": lambda redactor, text: redactor.url(text),
    "query": lambda redactor, text: redactor.query(text),
    "attribute": lambda redactor, text: redactor.value("note", text),
}


class Reference:
    """A job that takes as long as the slowest texts do, and has nothing to do with the redactor."""

    PARTS: Final = 40
    SECONDS: Final = 40 * 65e-6  # on the machine for which the limit was set, idle
    WORDS: Final = re.compile(r"(\w+)=(\w+)")

    def __init__(self) -> None:
        self._least = float("inf")
        for _ in range(ROUNDS):
            self.repeat()

    def repeat(self) -> None:
        """Do the job once more."""
        texts = [" ".join(f"word{part}{word}={word}" for word in range(250)) for part in range(self.PARTS)]
        began = time.thread_time()
        for text in texts:
            dict(self.WORDS.findall(text))
        self._least = min(self._least, time.thread_time() - began)

    @property
    def slowdown(self) -> float:
        """How many times as long it took as on that machine; at least 1."""
        return max(1.0, self._least / self.SECONDS)


reference = Reference()


class Timing:
    """The least time of one call."""

    def __init__(self, ask: Callable[[Redactor, str], object], text: str) -> None:
        self._call = partial(self._measured, ask, text)
        self.least = min(self._call() for _ in range(ROUNDS))

    def repeat(self) -> None:
        """Measure once more."""
        self.least = min(self.least, self._call())

    @staticmethod
    def _measured(ask: Callable[[Redactor, str], object], text: str) -> float:
        """A new redactor each time, because an attacker does not repeat texts that are cached."""
        redactor = build_redactor(settings)
        began = time.thread_time()
        ask(redactor, text)
        return time.thread_time() - began


class Timings:
    """Those of one text."""

    def __init__(self, text: str) -> None:
        self._ways = [Timing(ask, text) for ask in asking.values()]
        self._small, self._large = (Timing(asking["text"], text[:length]) for length in (SMALL, LARGE))

    @property
    def seconds(self) -> float:
        """For the slowest of the ways to ask."""
        return max(way.least for way in self._ways) / reference.slowdown

    @property
    def growth(self) -> float:
        """For four times as much text."""
        return self._large.least / self._small.least

    def is_enough(self) -> bool:
        """Whether no further round is needed."""
        return self.seconds < ENOUGH and self.growth < ENOUGH_GROWTH

    def repeat(self) -> None:
        """Measure again what is too slow."""
        for timing in (self._small, self._large) if self.growth >= ENOUGH_GROWTH else ():
            timing.repeat()
        for way in self._ways:
            if way.least / reference.slowdown >= ENOUGH:
                way.repeat()


timings = {name: Timings(text) for name, text in HOSTILE.items()}
end = time.monotonic() + TIMEOUT
while (slow := [each for each in timings.values() if not each.is_enough()]) and time.monotonic() < end:
    for each in slow:
        reference.repeat()
        each.repeat()
        time.sleep(0.02)  # until other processes pause
results = {name: {"seconds": each.seconds, "growth": each.growth} for name, each in timings.items()}
print_result(results)
print(f"slowdown: {reference.slowdown:.2f}")
