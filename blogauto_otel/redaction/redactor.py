"""The redactor: replaces secrets in texts, URLs and structures; everything that leaves the process passes it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from blogauto_otel._guard import is_foreign
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.redaction.issuers import issued_in, may_hold_token
from blogauto_otel.redaction.keys import BY_LOOK, MARKER, QUERY_KEYS, URL_KEYS, Keys
from blogauto_otel.redaction.pairs import FINDERS, Find, span_of_value
from blogauto_otel.redaction.pattern import Pattern
from blogauto_otel.redaction.patterns import APPLICATION_PASSWORD, CARD, PATTERNS, PERSONAL, TOKENS
from blogauto_otel.redaction.prefilter import Prefilter, may_hold_long
from blogauto_otel.redaction.replacement import (
    MAX_CANDIDATES,
    REST,
    STATEMENT,
    TOO_LONG,
    Secret,
    apply_own,
    matches,
    replace_secrets,
    replace_value,
    shorten,
    statement_literals,
)
from blogauto_otel.redaction.structures import StructureLimits, are_flat_headers, as_key, name_beside
from blogauto_otel.redaction.values import is_harmless, is_no_secret, is_random_key

# Characters of a text that are read; the rest is cut off. Longer texts are never exported.
MAX_TEXT: Final = 16_384
MAX_URL: Final = 8_192
MAX_ENCODED: Final = 50  # percent-encoded words
MAX_REMEMBERED: Final = 4_096
MAX_REMEMBERED_LENGTH: Final = 64
MAX_ENCODINGS: Final = 3
RANDOM_KEY: Final = "api-key"  # the kind of what looks like a key
MAX_PASSES: Final = 4
SHORTEST: Final = 5  # "pw=ab"

TOO_DEEP: Final = "[redacted:too-deep]"
UNREADABLE: Final = "[redacted:unreadable]"

# A parameter after `?`, `&` or `;`, or the first parameter of a form.
_PARAMETER: Final = lazy_pattern(
    r"(?:(?<=[?&;])(?:b[\"'])?|(?<![^\s\"'])(?=[^\s=&;?\"'<>#]{1,128}=[^\s&;\"'<>#]*&))"
    r"([^\s=&;?\"'<>#]{1,128})=([^\s&;\"'<>#]*)"
)
_FLAG: Final = lazy_pattern(r"--?[\w-]{1,80}")
_ESCAPE: Final = lazy_pattern("%[0-9A-Fa-f]{2}")
# An id, as libraries make them at random: no rule of ours finds a secret in one, and each has its own.
_ID: Final = lazy_pattern("[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID_LENGTH: Final = 36
# A percent-encoded segment of a path, or name or value of a parameter.
_ENCODED: Final = lazy_pattern(r"(?<![^\s/?&;,=#\"'<>])[^\s/?&;,=#\"'<>%]*%[^\s/?&;,=#\"'<>]*")


class Redactor:
    """Replaces secrets. Immutable, safe in any thread, and linear in the length of the text.

    Args:
        keys: Further names whose values are secrets; `order id` also covers `orderId`, `order_id` and `my.order-id`.
        beginnings: Beginnings of attribute names whose values do not leave (prompts and answers).
        patterns: Further expressions; a group named `secret` limits what is replaced. Each is applied to one line, at
            most 1024 characters at a time, because it may need quadratic time.
        personal: Personal data to replace as well: any of `email`, `phone`, `rrn`.
        max_text: The number of characters of a text that are read; the rest is cut off.
        enabled: False: every value is returned unchanged.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        beginnings: Iterable[str] = (),
        patterns: Iterable[re.Pattern[str]] = (),
        personal: Iterable[str] = (),
        max_text: int = MAX_TEXT,
        enabled: bool = True,
    ) -> None:
        self.enabled = enabled
        self._keys = Keys(keys, beginnings)
        self._patterns = tuple(patterns)
        self._max_text = max_text
        self.knows_ids = not self._patterns and max_text >= _ID_LENGTH
        self._known_clean: BoundedMemo[str, str] = BoundedMemo(MAX_REMEMBERED)
        self._rules = (*PATTERNS, *(PERSONAL[name] for name in personal), CARD, APPLICATION_PASSWORD)
        self._groups = _in_groups(self._rules)
        pieces = (piece for rule in self._rules if rule.is_prefiltered for piece in rule.triggers)
        self._prefilter = Prefilter((*pieces, STATEMENT))

    def text(self, value: str) -> str:
        """The text without secrets; the same object when there are none."""
        return self._redacted(value, self._max_text)

    def url(self, value: str) -> str:
        """The URL without user information, secret parameters, or secrets in its path."""
        return self._redacted(value, MAX_URL)

    def query(self, value: str) -> str:
        """The query of a URL (`url.query`, without the question mark) without secret parameters."""
        return self._query(value)

    def value(self, key: str, value: object) -> object:
        """The value without secrets: its key is read first, then the value; maps and sequences to a depth of 8.

        The same object when nothing changed. An object that is neither text, number, map nor sequence is returned
        unchanged: convert it to text first.
        """
        if not self.enabled:
            return value
        if type(value) is str and self._keys.kind(key) is None:
            return self._string(key, value)
        return self._value(key, value, StructureLimits(self._max_text))

    def is_secret_key(self, key: str) -> bool:
        """Whether every value of this key is a secret."""
        return self.enabled and self._keys.kind(key) not in (None, BY_LOOK)

    # --- structures ---------------------------------------------------------------------------------------------------

    def _value(self, key: str, value: object, limits: StructureLimits) -> object:
        kind = self._keys.kind(key)
        if kind == BY_LOOK:
            kind = RANDOM_KEY if isinstance(value, str) and is_random_key(value) else None
        if kind is not None:
            return replace_value(value, kind)
        if type(value) is str:
            return self._string(key, value) if limits.read(value) else TOO_LONG
        if value is None or isinstance(value, (int, float)):
            return value
        try:
            return self._nested(key, value, limits)
        except BaseException as error:  # a map of the application that cannot be read is replaced
            if not is_foreign(error):
                raise
            return UNREADABLE

    def _string(self, key: str, value: str) -> str:
        if key in QUERY_KEYS:
            return self._query(value)
        return self._short(value, MAX_URL if key in URL_KEYS else self._max_text)

    def _short(self, value: str, longest: int) -> str:
        """Redact, and remember short texts without secrets: most attributes repeat earlier values."""
        if len(value) > MAX_REMEMBERED_LENGTH:
            return self._redacted(value, longest)
        if value in self._known_clean or (self.knows_ids and _ID.fullmatch(value)):
            return value
        cleaned = self._redacted(value, longest)
        if cleaned is value:
            self._known_clean.remember(value, value)
        return cleaned

    def _nested(self, key: str, value: object, limits: StructureLimits) -> object:
        if isinstance(value, (bytes, bytearray, str)):
            # A subclass may override its methods: read the data itself.
            decoded = str.__str__(value) if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
            if not limits.read(decoded):
                return TOO_LONG
            cleaned = self._string(key, decoded)
            return value if cleaned is decoded else cleaned
        if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
            return value
        if not limits.enter(len(value)):
            return TOO_DEEP
        try:
            if isinstance(value, Mapping):
                return self._mapping(value, limits)
            return self._sequence(key, value, limits)
        finally:
            limits.leave()

    def _mapping(self, value: Mapping[Any, Any], limits: StructureLimits) -> object:
        after: dict[Any, Any] = {}
        is_changed = False
        for name, inner in value.items():
            key = name_beside(value, name) or as_key(name)
            cleaned_name = self._name(name, limits)
            cleaned = self._value(key, inner, limits)
            is_changed = is_changed or cleaned is not inner or cleaned_name is not name
            after[cleaned_name] = cleaned
        return after if is_changed else value

    def _name(self, name: object, limits: StructureLimits) -> object:
        if not isinstance(name, str):
            return name
        return self.text(name) if limits.read(name) else TOO_LONG

    def _sequence(self, key: str, value: Iterable[Any], limits: StructureLimits) -> object:
        before = list(value)
        keys = [key] * len(before)
        if len(before) == 2 and isinstance(before[0], (str, bytes)):  # a header, as ASGI and http.client print it
            keys[1] = as_key(before[0])
        elif before and are_flat_headers(before):
            keys[1::2] = [as_key(name) for name in before[::2]]
        for index, (flag, following) in enumerate(itertools.pairwise(before), start=1):  # a command line
            if type(flag) is str and _FLAG.fullmatch(flag) and not str(following).startswith("-"):
                keys[index] = flag
        after = [self._value(name, inner, limits) for name, inner in zip(keys, before, strict=True)]
        if all(new is old for new, old in zip(after, before, strict=True)):
            return value
        return tuple(after) if isinstance(value, tuple) else after

    # --- text ---------------------------------------------------------------------------------------------------------

    def _query(self, value: str) -> str:
        given = "?" + value[:MAX_URL]
        cleaned = self._short(given, MAX_URL)
        return value if cleaned is given else cleaned[1:]

    def _redacted(self, value: str, longest: int) -> str:
        if len(value) < SHORTEST or not self.enabled:
            return value
        if len(value) > longest:
            return shorten(self._clean(value[:longest], may_match=True))
        may_match = self._may_match(value)
        if may_match or self._may_name(value) or _may_encode(value) or self._patterns:
            return self._clean(value, may_match)
        return value

    def _has_secret(self, value: str) -> bool:
        """Whether one pass changes the text."""
        return len(value) >= SHORTEST and self._pass(value, self._may_match(value)) != value

    def _clean(self, value: str, may_match: bool) -> str:
        cleaned = self._pass(value, may_match)
        if cleaned == value:
            return value
        if cleaned.endswith(TOO_LONG) and value.startswith(cleaned[: -len(TOO_LONG)]):
            return cleaned  # cut, and nothing else
        # A secret directly beside another is found only once that has been replaced. A text that was cut because it has
        # too many secrets gets one more pass only.
        for _ in range(1 if cleaned.endswith(TOO_LONG) else MAX_PASSES):
            before, cleaned = cleaned, self._pass(cleaned, may_match or self._may_match(cleaned))
            if cleaned == before:
                break
        return cleaned

    def _pass(self, text: str, may_match: bool) -> str:
        if may_match:
            text = self._matched(text)
        if self._may_name(MARKER.sub("x", text) if "[redacted:" in text else text):
            text = self._named(text)
        if _may_encode(text):  # last, because it may replace the name of the value that follows
            text = replace_secrets(text, self._encoded(text))
        if STATEMENT in text:
            text = replace_secrets(text, statement_literals(text))
        for pattern in self._patterns:
            text = apply_own(pattern, text)
        return text

    def _may_name(self, value: str) -> bool:
        if "=" in value:
            return "?" in value or "&" in value or self._keys.may_be_in(value)
        has_sign = ":" in value or "--" in value or " -" in value or "'," in value or '",' in value or "</" in value
        return (has_sign or not value.isascii()) and self._keys.may_be_in(value)

    def _named(self, text: str) -> str:
        if "=" in text and ("?" in text or "&" in text):
            text = replace_secrets(text, self._parameters(text))
            if not self._keys.may_be_in(text):
                return text
        for trigger, finder in FINDERS:
            if trigger in text:
                text = replace_secrets(text, self._pairs(text, finder(text)))
        return text

    def _may_match(self, value: str) -> bool:
        """Whether a pattern can match: the test that every text goes through."""
        return may_hold_long(value, may_hold_token) or self._prefilter.search(value) or ("@" in value and ":/" in value)

    def _matched(self, text: str) -> str:
        if may_hold_token(text):  # first: the rest of a token may match another pattern
            text = replace_secrets(text, ((start, end, "api-key") for start, end in issued_in(text)))
            for rule in TOKENS:
                if rule.may_match(text):
                    text = replace_secrets(text, matches(text, rule))
        for prefilter, rules in self._groups:
            if prefilter is None or prefilter.search(text):
                for rule in rules:
                    if rule.may_match(text):
                        text = replace_secrets(text, matches(text, rule))
        return text

    def _parameters(self, text: str) -> Iterator[Secret]:
        """The secret parameters of URLs; some names are those of secrets only there."""
        for number, found in enumerate(_PARAMETER.finditer(text)):
            if number >= MAX_CANDIDATES:
                yield found.start(), len(text), REST
                return
            key, value = found.groups()
            kind = self._keys.kind_in_url(unquote_plus(key) if "%" in key else key)
            if kind is not None and not is_no_secret(value) and not (kind == "parameter" and is_harmless(key, value)):
                yield found.start(2), found.end(), kind

    def _encoded(self, text: str) -> Iterator[Secret]:
        """The percent-encoded words that contain a secret when they are decoded."""
        for number, found in enumerate(_ENCODED.finditer(text)):
            if number >= MAX_ENCODED:
                yield found.start(), len(text), REST
                return
            if self._is_encoded_secret(found[0]):
                yield *found.span(), "encoded"

    def _is_encoded_secret(self, value: str) -> bool:
        if len(value) > MAX_URL:  # longer than a URL: it is not decoded
            return True
        for _ in range(MAX_ENCODINGS):
            decoded = unquote_plus(value)
            if decoded == value:
                return False
            value = decoded
            if self._has_secret(value):
                return True
        return True

    def _pairs(self, text: str, find: Find) -> Iterator[Secret]:
        """The values that follow names of secrets in running text."""
        position = candidates = 0
        while (named := find(position)) is not None:
            position = named.value_start
            candidates += named.name != "redacted"  # our own markers do not count
            if candidates > MAX_CANDIDATES:
                yield named.start, len(text), REST
                return
            if (kind := self._keys.kind(named.name)) is None:
                continue
            start, end = span_of_value(text, named, kind)
            if kind == BY_LOOK:
                kind = RANDOM_KEY if is_random_key(text[start:end]) else None
            if start < end and kind is not None:
                yield start, end, kind
                position = end


def _may_encode(text: str) -> bool:
    return "%" in text and _ESCAPE.search(text) is not None


def _in_groups(rules: Iterable[Pattern]) -> tuple[tuple[Prefilter | None, tuple[Pattern, ...]], ...]:
    """The rules in their order, grouped by kind, each group with its prefilter."""
    groups = []
    for is_prefiltered, members in itertools.groupby(rules, lambda rule: rule.kind if rule.is_prefiltered else ""):
        group = tuple(members)
        pieces = [piece for rule in group for piece in rule.triggers]
        groups.append((Prefilter(pieces) if is_prefiltered and len(group) > 1 else None, group))
    return tuple(groups)
