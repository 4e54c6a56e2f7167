"""One kind of secret in a text: the type of the rows in `patterns`."""

from __future__ import annotations

import re
from collections.abc import Callable

from blogauto_otel._dataclass import dataclass


@dataclass(frozen=True)
class Pattern:
    """One kind of secret in a text.

    Attributes:
        kind: Its name in the marker.
        triggers: Pieces of text without one of which the expression cannot match.
        expression: The group `keep` stays, the rest of the match is replaced.
        is_secret: A further test of the text that would be replaced.
        overlaps: A match that fails `is_secret` may contain the beginning of another.
        needs: A piece of text that must be present besides one of the triggers.
        may_hold: A cheap test of the whole text, for triggers that nearly every text contains.
        re2: The same for the Collector, with the group `keep` as its first; RE2 has no lookaround. Empty where the
            expression works in RE2 too; None where RE2 cannot express it.
    """

    kind: str
    triggers: tuple[str, ...]
    expression: re.Pattern[str]
    is_secret: Callable[[str], bool] | None = None
    overlaps: bool = False
    needs: str = ""
    may_hold: Callable[[str], bool] | None = None
    re2: str | None = ""

    @property
    def is_prefiltered(self) -> bool:
        """Whether its triggers are rare enough to be looked for in every text."""
        return not ({"://", ":/", "", " "} & set(self.triggers))

    def may_match(self, text: str) -> bool:
        """The cheap test that runs before the expression."""
        if self.needs not in text:
            return False
        if self.may_hold is not None:
            return self.may_hold(text)
        for trigger in self.triggers:  # noqa: SIM110 - any() costs three times as much
            if trigger in text:
                return True
        return False
