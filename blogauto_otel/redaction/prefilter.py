"""The cheap test that comes first: whether any of many pieces of text is in a text.

Ordinary text must cost next to nothing, and there are dozens of pieces. Each piece has an anchor, a character that is
rare in ordinary text. `in` finds an anchor at the speed of memchr; only where it stands does a small expression look
at what is before and behind it.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from blogauto_otel._lazy_pattern import lazy_pattern

# Bytes of a token become `x`, blanks stay, all else becomes a dot: a long token is then a run of `x`.
_CLASSES: Final = bytes(
    ord("x")
    if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_-+=")
    else byte
    if byte == 32
    else ord(".")
    for byte in range(256)
)
_TOKEN: Final = b"x" * 16  # the shortest token that an issuer's prefix begins
_SIX_GROUPS: Final = b" ".join([b"xxxx"] * 6)
_DIGITS: Final = b"0123456789"
_CARD: Final = 13  # digits
_MANY_DIGITS: Final = lazy_pattern(r"[0-9]{4}[ -]?[0-9]{4,6}[ -]?[0-9]{4}")
# These are in every text: as an anchor they are the last choice.
_COMMON: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789 ")
# The expression costs as much at each anchor as `in` does for some pieces in the whole text.
PIECES_PER_ANCHOR: Final = 4
FEW_ANCHORS: Final = 2048  # characters of a text; in a longer one it would take longer to count them


_Group: TypeAlias = tuple["re.Pattern[str]", int, tuple[tuple[str, tuple[str, ...]], ...]]


class Prefilter:
    """Answers whether a text holds one of the pieces.

    Args:
        pieces: The texts to search for.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        anchors, self._groups = _groups_of(tuple(pieces))
        self._anchors = tuple(anchor for anchor in anchors if anchor.isascii())
        self._other_anchors = tuple(anchor for anchor in anchors if not anchor.isascii())

    def search(self, text: str) -> bool:
        """Whether one of the pieces is in the text."""
        for anchor in self._anchors:  # any() costs three times as much
            if anchor in text and self._holds_piece(anchor, text):
                return True
        if self._other_anchors and not text.isascii():
            for anchor in self._other_anchors:
                if anchor in text and self._holds_piece(anchor, text):
                    return True
        return False

    def _holds_piece(self, anchor: str, text: str) -> bool:
        pattern, few, pieces = self._groups[anchor]
        if len(text) <= FEW_ANCHORS and text.count(anchor) <= few:
            return pattern.search(text) is not None
        return any(beginning in text and any(map(text.__contains__, members)) for beginning, members in pieces)


def may_hold_long(text: str, may_hold_token: Callable[[str], bool]) -> bool:
    """Whether a token, the number of a card, or six groups of characters may be in a text.

    Bytes are cheaper to look through than characters: `translate` and `in` read some of them at a time.
    """
    if len(text) < _CARD:
        return False
    data = _bytes_of(text)
    classes = data.translate(_CLASSES)
    if classes.find(_TOKEN) >= 0 and may_hold_token(text):  # twice as fast as `in`
        return True
    if len(data) >= len(_SIX_GROUPS) and classes.find(_SIX_GROUPS) >= 0:
        return True
    return len(data) - len(data.translate(None, _DIGITS)) >= _CARD and _MANY_DIGITS.search(text) is not None


def may_hold_card(text: str) -> bool:
    """Whether the number of a card may be in a text."""
    data = _bytes_of(text)
    return len(data) - len(data.translate(None, _DIGITS)) >= _CARD and _MANY_DIGITS.search(text) is not None


def may_hold_groups(text: str) -> bool:
    """Whether six groups of four characters may be in a text."""
    return _bytes_of(text).translate(_CLASSES).find(_SIX_GROUPS) >= 0


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a surrogate
        return text.encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=64)  # of every redactor the same, apart from the users' own keys
def _groups_of(pieces: tuple[str, ...]) -> tuple[tuple[str, ...], Mapping[str, _Group]]:
    """The anchors, and for each its expression, how many anchors are few, and its pieces."""
    by_anchor: dict[str, list[str]] = {}
    for piece, anchor in _anchors(pieces).items():
        by_anchor.setdefault(anchor, []).append(piece)
    groups = {members[0] if len(members) == 1 else anchor: members for anchor, members in by_anchor.items()}
    return tuple(groups), {
        anchor: (_around(anchor, members), len(members) // PIECES_PER_ANCHOR, _by_beginning(members))
        for anchor, members in groups.items()
    }


def _anchors(pieces: Iterable[str]) -> dict[str, str]:
    """An anchor for each piece, so that there are few different ones."""
    left, chosen = dict.fromkeys(pieces), {}
    while left:
        counts = Counter(character for piece in left for character in set(piece) - _COMMON)
        anchor = max(counts, key=lambda one: (counts[one], one)) if counts else ""
        for piece in [piece for piece in left if anchor in piece]:
            chosen[piece] = anchor or piece
            del left[piece]
    return chosen


def _by_beginning(pieces: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The pieces by what they share at their beginning, so that one search rules out several."""
    groups: dict[str, list[str]] = {}
    for piece in pieces:
        groups.setdefault(piece[:2], []).append(piece)
    return tuple((members[0] if len(members) == 1 else start, tuple(members)) for start, members in groups.items())


def _around(anchor: str, pieces: Iterable[str]) -> re.Pattern[str]:
    """An expression that begins with the anchor, which makes the search quick, and then looks round."""
    behind_it: list[str] = []
    by_place: dict[tuple[int, str], list[str]] = {}
    for piece in pieces:
        before, _, behind = piece.partition(anchor)
        if before:
            by_place.setdefault((len(before), behind), []).append(re.escape(before + anchor))
        else:
            behind_it.append(re.escape(behind))
    branches = [f"(?<={'|'.join(befores)}){re.escape(behind)}" for (_, behind), befores in by_place.items()]
    branches += [f"(?:{'|'.join(behind_it)})"] if behind_it else []
    return lazy_pattern(f"{re.escape(anchor)}(?:{'|'.join(branches)})")
