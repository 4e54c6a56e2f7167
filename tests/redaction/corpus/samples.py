"""Generate sample texts from descriptions such as `remote: «ghp_<w36>» rejected`.

`<w36>` stands for 36 random characters of the alphabet `w`; what stands between « and » is the secret.
"""

from __future__ import annotations

import random
import re
import string
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

ALPHABETS: Final = {
    "x": "0123456789abcdef",
    "X": "0123456789ABCDEF",
    "d": string.digits,
    "a": string.ascii_lowercase,
    "U": string.ascii_uppercase,
    "z": string.ascii_lowercase + string.digits,
    "Z": string.ascii_uppercase + string.digits,
    "w": string.ascii_letters + string.digits,
    "u": string.ascii_letters + string.digits + "-_",
    "b": string.ascii_letters + string.digits + "+/",
    "p": string.ascii_letters + string.digits + "!@#$^*",  # a password
}
_FIELD: Final = re.compile(r"<(?:([xXdaUzZwubp])([0-9]{1,4})|(uuid))>")
WINDOW: Final = 8  # a secret leaks when this many of its characters in a row are left

# Sentences that name no secret: an issued token must be recognised by its own format.
NEUTRAL: Final = (
    "got {} from upstream",
    "{}",
    "upstream rejected {} (401)",
    "retrying with {}, attempt 2",
    'value = "{}"',
    "args: ('{}',) kwargs: {{}}",
    "header x-upstream: {}",
    '{{"event": "call", "v": "{}"}}',
    "first line\n{}\nlast line",
    "a={}&b=2",
)


@dataclass(frozen=True)
class Sample:
    """A text and the secrets in it; a clean text has none."""

    text: str
    secrets: tuple[str, ...] = ()

    def leaks(self, output: str) -> bool:
        """Whether a part of a secret is in the output."""
        return any(_is_left(secret, output) for secret in self.secrets)


def _is_left(secret: str, output: str) -> bool:
    if len(secret) <= WINDOW:
        return secret in output
    return any(secret[start : start + WINDOW] in output for start in range(len(secret) - WINDOW + 1))


def generate(description: str, seed: str = "") -> Sample:
    """The sample of a description; the same seed gives the same sample."""
    rng = random.Random(f"{seed}{description}")

    def fill(found: re.Match[str]) -> str:
        if found[3]:
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        return _random(rng, found[1], int(found[2]))

    filled = _FIELD.sub(fill, description)
    return Sample(re.sub("[«»]", "", filled), tuple(re.findall("«([^»]*)»", filled)))


def _random(rng: random.Random, alphabet: str, length: int) -> str:
    """Random characters; like a real token, a long one has a character of each class of its alphabet."""
    characters = ALPHABETS[alphabet]
    drawn = [rng.choice(characters) for _ in range(length)]
    classes = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    wanted = [[c for c in characters if c in group] for group in classes]
    if length >= 12:
        for index, group in enumerate(group for group in wanted if group):
            drawn[3 * index + 1] = rng.choice(group)
    return "".join(drawn)


def in_neutral_sentences(tokens: Iterable[str]) -> Iterator[str]:
    """Descriptions of texts in which nothing but the token itself tells that it is one."""
    for number, token in enumerate(tokens):
        yield NEUTRAL[number % len(NEUTRAL)].format(f"«{token}»")
