"""What may not leave: secrets by the name they stand under and by what they look like, in text, URLs and structures.

One redactor serves every exit. Each rule is a line of a table; every expression reads a text once (no nested repetition), and
a cheap look for trigger words comes first, so that ordinary text costs about a microsecond and comes back as the same object.
What was found is replaced by `[redacted:<what>]`; doing it twice changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus

from blogauto_otel._guard import logger
from blogauto_otel.config import Settings, load

# Characters of a suspicious text that are looked at; the rest does not leave. Nothing longer is exported anyway.
MAX_TEXT: Final = 16_384
MAX_URL: Final = 8_192
MAX_LINE: Final = 4_096  # what a user's own expression sees at a time: we cannot vouch for its running time
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 10_000
SHORTEST: Final = 5  # "pw=ab"

TOO_LONG: Final = "[redacted:too-long]"
TOO_DEEP: Final = "[redacted:too-deep]"
_MARKER: Final = re.compile(r"\[redacted:[a-z0-9-]{1,32}\]")


def marker(what: str) -> str:
    """What stands in the place of a secret."""
    return f"[redacted:{what}]"


# --- by key: names under which secrets stand --------------------------------------------------------------------------

# A key is cut into words (`dbPassword`, `DB-PASSWORD` and `db.password` are the same two); one of these is enough ...
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "password": ("pwd", "pw", "비번"),
    "secret": ("secret", "secrets"),
    "token": ("jwt", "bearer", "csrf", "xsrf", "otp", "totp"),
    "authorization": ("authorization",),
    "cookie": ("cookie", "cookies"),
    "session": ("session", "sess", "sid"),
    "dsn": ("dsn",),
    "personal-id": ("ssn", "rrn", "주민번호"),
    "card": ("cvv", "cvc", "cvv2", "cvc2"),
}
# ... or the end of a word, because people write `accesstoken` ...
ENDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "secret": ("secret",),
    "token": ("token", "토큰"),
    "cookie": ("cookie",),
    "session": ("sessionid", "sessid"),
    "credentials": ("credential", "credentials"),
    "api-key": ("apikey", "accesskey", "secretkey", "privatekey", "accountkey"),
    "password": ("암호",),
    "card": ("creditcard", "cardnumber", "카드번호"),
    "connection-string": ("connectionstring",),
    "account": ("계좌번호",),
}
# ... or these anywhere, however the rest is written ...
ANYWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "password": ("password", "passwd", "passphrase", "passcode", "비밀번호", "패스워드"),
    "personal-id": ("주민등록번호",),
}
# ... or two words in a row ...
PAIRS: Final[Mapping[str, tuple[str, ...]]] = {
    "api-key": (
        "api key",
        "access key",
        "private key",
        "signing key",
        "encryption key",
        "account key",
        "auth key",
        "shared key",
        "master key",
        "ssh key",
        "license key",
        "hmac key",
        "auth tokens",
        "access tokens",
        "refresh tokens",
        "api tokens",
    ),
    "connection-string": ("connection string", "conn string", "conn str"),
    "card": ("credit card", "debit card", "card number", "card no"),
    "account": ("account number", "bank account"),
    "personal-id": ("resident registration", "resident number", "social security", "passport number"),
    "token": ("recovery code", "backup code", "verification code"),
}
# ... or the last word.
LAST: Final[Mapping[str, tuple[str, ...]]] = {"password": ("pass",), "authorization": ("auth",), "pin": ("pin",)}

# Unless the last word says that it is about the secret and not the secret: `token_count`, `password_changed_at`.
HARMLESS: Final = frozenset(
    [
        "age",
        "algorithm",
        "at",
        "attempts",
        "budget",
        "changed",
        "consent",
        "cost",
        "count",
        "created",
        "deleted",
        "duration",
        "enabled",
        "error",
        "errors",
        "exception",
        "expired",
        "expires",
        "expiry",
        "failed",
        "failure",
        "failures",
        "field",
        "index",
        "invalid",
        "kind",
        "length",
        "limit",
        "max",
        "min",
        "missing",
        "ms",
        "name",
        "names",
        "policy",
        "present",
        "provider",
        "rate",
        "removed",
        "requested",
        "required",
        "rotated",
        "seconds",
        "size",
        "state",
        "status",
        "stored",
        "strength",
        "total",
        "ttl",
        "type",
        "types",
        "updated",
        "usage",
        "used",
        "valid",
        "version",
        "warning",
    ]
)
# Parameters of a URL that carry a secret there and nowhere else.
QUERY_ONLY: Final = frozenset({"key", "code", "sig", "signature", "awsaccesskeyid", "assertion", "ticket", "saml"})
URL_KEYS: Final = frozenset(
    {
        "url.full",
        "http.url",
        "http.target",
        "url",
        "uri",
        "http.request.header.referer",
        "http.response.header.location",
    }
)
QUERY_KEYS: Final = frozenset({"url.query", "url.fragment", "query_string", "http.query"})

# What every name above contains: without one of these there is no `name=secret` in a text.
KEY_TRIGGERS: Final = (
    *(
        "pass",
        "pwd",
        "pw",
        "secret",
        "token",
        "key",
        "auth",
        "cookie",
        "sess",
        "sid",
        "credential",
        "dsn",
        "jwt",
        "bearer",
    ),
    *(
        "csrf",
        "xsrf",
        "otp",
        "ssn",
        "rrn",
        "cvv",
        "cvc",
        "card",
        "conn",
        "account",
        "resident",
        "social",
        " code",
        "_code",
    ),
    *("-code", "pin", "비번", "비밀번호", "패스워드", "암호", "토큰", "주민", "카드번호", "계좌번호"),
)

_KEY_WORDS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]?|[A-Z]+[0-9]?|[0-9]+|[^\W0-9A-Za-z_]+")


def words_of(key: str) -> tuple[str, ...]:
    """The words of a key, in lower case."""
    return tuple(word.lower() for word in _KEY_WORDS.findall(key))


class _Keys:
    """Says which secret a key names, and remembers the answer."""

    MAX_REMEMBERED: Final = 4_096
    MAX_LENGTH: Final = 256

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._own = tuple(words for words in map(words_of, own) if words)
        self._remembered: dict[str, str | None] = {}

    def what(self, key: str) -> str | None:
        """The kind of secret that stands under this key, or None."""
        if key in self._remembered:
            return self._remembered.get(key)
        found = self._find(words_of(key[: self.MAX_LENGTH]))
        if len(key) <= self.MAX_LENGTH:
            if len(self._remembered) >= self.MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def _find(self, words: tuple[str, ...]) -> str | None:
        if any(_contains(words, own) for own in self._own):
            return "custom"
        if not words or words[-1] in HARMLESS:
            return None
        return next(filter(None, (look(words) for look in _LOOKS)), None)


def _contains(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return any(words[start : start + len(part)] == part for start in range(len(words) - len(part) + 1))


def _by_word(table: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {word: what for what, words in table.items() for word in words}


_WORDS, _PAIRS, _LAST = _by_word(WORDS), _by_word(PAIRS), _by_word(LAST)


def _look_at_words(words: tuple[str, ...]) -> str | None:
    return next((_WORDS[word] for word in words if word in _WORDS), None)


def _look_at_endings(words: tuple[str, ...]) -> str | None:
    bare = [word.rstrip("0123456789") for word in words]
    return next((what for what, endings in ENDINGS.items() if any(word.endswith(endings) for word in bare)), None)


def _look_anywhere(words: tuple[str, ...]) -> str | None:
    joined = "".join(words)
    return next((what for what, parts in ANYWHERE.items() if any(part in joined for part in parts)), None)


def _look_at_pairs(words: tuple[str, ...]) -> str | None:
    singular = (*words[:-1], words[-1].removesuffix("s") if words[-1] == "keys" else words[-1])
    pairs = (f"{first} {second}" for first, second in zip(singular, singular[1:], strict=False))
    return next((_PAIRS[pair] for pair in pairs if pair in _PAIRS), None)


def _look_at_last(words: tuple[str, ...]) -> str | None:
    return _LAST.get(words[-1])


_LOOKS: Final = (_look_at_words, _look_anywhere, _look_at_endings, _look_at_pairs, _look_at_last)


# --- by value: what secrets look like ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One kind of secret in a text.

    Attributes:
        what: Its name in the marker.
        triggers: Pieces of text without one of which the expression cannot match; none: always look.
        pattern: Linear in the text. A group `keep` stays, the rest of the match goes.
        confirm: A second look at what matched.
        mark: What must be there for any trigger to be there; saves looking for each.
        overlaps: What failed the second look may hide the beginning of another match.
    """

    what: str
    triggers: tuple[str, ...]
    pattern: re.Pattern[str]
    confirm: Callable[[str], bool] | None = None
    mark: str = ""
    overlaps: bool = False

    def may_match(self, text: str) -> bool:
        """The cheap look that comes first."""
        return self.mark in text and any(map(text.__contains__, self.triggers))


def _has_digit(secret: str) -> bool:
    return re.search("[0-9]", secret) is not None


def _looks_random(secret: str) -> bool:
    """Not a word: `Bearer authentication` is no credential."""
    return len(secret) >= 24 or not (secret.islower() or secret.istitle()) or not secret.isalpha()


def _is_basic(secret: str) -> bool:
    """Base64 of `user:password`."""
    try:
        return b":" in base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


_DOUBLED: Final = bytes(
    (digit * 2 - 9 if digit > 4 else digit * 2) + 48 if 0 <= (digit := code - 48) <= 9 else code for code in range(256)
)


def _is_card(number: str) -> bool:
    """The check digit of ISO/IEC 7812."""
    digits = number.replace(" ", "").replace("-", "").encode()[::-1]
    total = sum(digits[0::2]) + sum(digits[1::2].translate(_DOUBLED)) - 48 * len(digits)
    return total % 10 == 0


def _is_birthday(number: str) -> bool:
    """A resident registration number begins with a date; its check digit has meant nothing since October 2020."""
    century = "19" if number.replace("-", "").replace(" ", "")[6] in "1256" else "20"
    try:
        datetime.date(int(century + number[:2]), int(number[2:4]), int(number[4:6]))
    except ValueError:
        return False
    return True


def _prefixed(*prefixes: str, characters: str = r"\w", least: int = 16) -> re.Pattern[str]:
    """A key that begins with the name of its issuer."""
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(prefixes)})[{characters}]{{{least},}}", re.ASCII)


RULES: Final = (
    Rule(
        "private-key",
        ("PRIVATE KEY",),
        re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)", re.DOTALL),
        mark="-----BEGIN",
    ),
    Rule("credentials", ("://",), re.compile(r"(?<=://)[^\s/?#\"'<>]+(?=@)"), mark="@"),
    # A database's password may hold an unescaped slash; in http that would be a path.
    Rule(
        "credentials",
        ("://",),
        re.compile(r"(?P<keep>\b(?!http)[a-z][a-z0-9+.]{1,20}://)[^\s@\"'<>:\[]{0,128}:[^\s@\"'<>]{1,128}(?=@)", re.IGNORECASE),
        mark="@",
    ),
    Rule("jwt", ("eyJ",), re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{10,}(?:\.[\w-]*){0,4}", re.ASCII)),
    Rule("token", ("earer ", "EARER "), re.compile(r"(?P<keep>\bbearer\s{1,4})[\w.~+/=-]{8,}", re.ASCII | re.IGNORECASE), _looks_random, mark=" "),
    Rule("credentials", ("asic ", "ASIC "), re.compile(r"(?P<keep>\bbasic\s{1,4})[\w+/]{6,}={0,2}", re.ASCII | re.IGNORECASE), _is_basic, mark=" "),
    Rule("api-key", ("sk-",), _prefixed("sk-", characters=r"\w-"), _has_digit, mark="-"),
    Rule("api-key", ("AIza", "AQ.", "ya29.", "GOCSPX-"), _prefixed("AIza", r"AQ\.", r"ya29\.", "GOCSPX-", characters=r"\w-", least=20)),
    Rule(
        "aws-key",
        ("AKIA", "ASIA"),
        # The secret has no sign of its own: it is what stands beside the key.
        re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])(?:[\s:;,|/\"'=]{1,4}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+]))?"),
    ),
    Rule("api-key", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), _prefixed("gh[pousr]_", "github_pat_"), mark="_"),
    Rule(
        "api-key",
        ("k_live_", "k_test_", "whsec_", "hf_", "npm_", "gsk_", "shpat_", "shpss_", "sntrys_", "sntryu_", "glsa_", "dop_v1_"),
        _prefixed(
            *("[srp]k_(?:live|test)_", "whsec_", "hf_", "npm_", "gsk_", "shpat_", "shpss_", "sntry[su]_", "glsa_", "dop_v1_"),
            characters=r"\w+/=",
        ),
        mark="_",
    ),
    Rule("api-key", ("xox", "xapp-", "glpat-", "pypi-", "pplx-", "xai-"), _prefixed("xox[a-z]-", "xapp-", "glpat-", "pypi-", "pplx-", "xai-", characters=r"\w-", least=10), _has_digit, mark="-"),
    Rule("api-key", ("SG.", "hvs."), _prefixed(r"SG\.", r"hvs\.", characters=r"\w.-", least=20), mark="."),
    Rule("webhook", ("hooks.slack.com/", "/api/webhooks/"), re.compile(r"(?P<keep>hooks\.slack\.com/services/|/api/webhooks/)[\w/-]{10,}", re.ASCII), mark="/"),
)  # fmt: skip
CARD: Final = Rule(
    "card-number",
    ("",),
    re.compile(
        r"(?<![\w.])(?:(?:[3-6]|2[2-7])[0-9]{11,18}|(?:[3-6]|2[2-7])[0-9]{2,3}"
        r"(?:([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|([ -])[0-9]{6}\2[0-9]{4,5}))(?!\w|\.[0-9])"
    ),
    _is_card,
    overlaps=True,
)
_MANY_DIGITS: Final = re.compile(r"[0-9]{4}[ -]?[0-9]{4,6}[ -]?[0-9]{4}")
PERSONAL: Final[Mapping[str, Rule]] = {
    "email": Rule(
        "email",
        ("@",),
        re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"),
    ),
    "phone": Rule(
        "phone",
        tuple("0123456789"),
        re.compile(
            r"(?<![\w.-])(?:(?:\+82[ -]?\(?0?\)?|0)1[016789][ -]?[0-9]{3,4}[ -]?[0-9]{4}"
            r"|0(?:2|[3-6][1-5]|70)[ )-][0-9]{3,4}[ -][0-9]{4})(?![\w-])"
        ),
    ),
    "rrn": Rule(
        "personal-id",
        tuple("0123456789"),
        re.compile(r"(?<![\w.-])[0-9]{2}[01][0-9][0-3][0-9][ -]?[1-8][0-9]{6}(?![\w-])"),
        _is_birthday,
    ),
}


# --- name and value in running text -----------------------------------------------------------------------------------

# password=x, "password": "x", 'password' => 'x', os.environ["PASSWORD"] = "x", --password x, Api Key: x
# (?=(?P<x>...))(?P=x) takes what it can and gives nothing back: no text makes it try again and again.
_HEAD: Final = re.compile(
    r"(?<![\w.\-])(?:--(?=(?P<flag>[\w\-]+))(?P=flag)(?:=|\s{1,3}(?!-))"
    r"|(?=(?P<key>[\w.\-]+(?: [\w.\-]+)?))(?P=key)(?:\\*[\"'])?\]?\s{0,8}(?:=>|:=|={1,3}|:(?!:|//))\s{0,8})"
)
_PARAMETER: Final = re.compile(r"(?<=[?&;])(?P<key>[^\s=&;?\"'<>#]{1,128})=(?P<value>[^\s&;\"'<>#]*)")
MAX_NAMES: Final = 256
_DONE: Final = re.compile(_MARKER.pattern + r"(?![^\s,;&\"'<>)\]}\\])")
_OPENER: Final = re.compile(r"[bruf]?(\"{3}|'{3}|\\*[\"'])")
_QUOTED: Final = {quote: re.compile(rf"[^{quote}\\]*(?:\\.[^{quote}\\]*)*", re.DOTALL) for quote in "\"'"}
_REST_OF_LINE: Final = re.compile(r"[^\r\n\"']*")
_OPENING: Final = ("[", "{", "(")
_BRACKET: Final = re.compile(r"[\[\](){}]")
# A quote, comma or backslash belongs to the secret when more of it follows.
_BARE: Final = re.compile(
    r"(?:[\w.\-]{1,64}[:=]\s{1,3}){0,3}(?:[^\s,;&\"'<>\\]|[\"'\\](?=[^\s,;&\"'<>)\]}:\\])|,(?![\s\"'\[{]|[\w.\-]{1,40}[\"']?[:=]|$))+"
)
_TO_END_OF_LINE: Final = frozenset({"cookie", "authorization"})
# Says that there is no value, or a place for one in an SQL statement or a format.
_NO_SECRET: Final = re.compile(
    r"none|null|nil|true|false|undefined|\*+|\?|%s|%\(\w+\)s|\$[0-9]{1,3}(?:::\w+)?|\{\w*\}", re.IGNORECASE
)


@dataclass(frozen=True)
class Finding:
    """One thing that is redacted, and why; it says nothing of the secret but its length."""

    where: str
    what: str
    reason: str
    length: int

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        return f"{self.what}{place}: {self.length} characters, {self.reason}"


class _Notes:
    """What was found so far, and where we are."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.path: list[str] = []

    def add(self, what: str, reason: str, secret: str) -> None:
        self.found.append(Finding(".".join(self.path), what, reason, len(secret)))


class Redactor:
    """Replaces secrets. Immutable, safe in any thread, and linear in the length of what it reads.

    Args:
        keys: Further names whose values are secrets; `order id` also covers `orderId`, `order_id` and `my.order-id`.
        patterns: Further expressions; a group named `secret` limits what is replaced. Each sees one line, at most 4096
            characters at a time, because we cannot vouch for its running time.
        personal: Personal data beside secrets: any of `email`, `phone`, `rrn`.
        max_text: Characters of one suspicious text that are looked at and may leave.
        enabled: False: everything comes back as it is.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        patterns: Iterable[re.Pattern[str]] = (),
        personal: Iterable[str] = (),
        max_text: int = MAX_TEXT,
        enabled: bool = True,
    ) -> None:
        own = tuple(keys)
        self.enabled = enabled
        self._keys = _Keys(own)
        self._patterns = tuple(patterns)
        self._max_text = max_text
        self._key_triggers = (*KEY_TRIGGERS, *(word for key in own for word in words_of(key)[:1]))
        self._gate = re.compile("|".join(map(re.escape, self._key_triggers)), re.IGNORECASE)
        self._rules = (*RULES, *(PERSONAL[name] for name in personal))
        self._groups = _groups(self._rules)

    def text(self, value: str) -> str:
        """The text without secrets; the same object when there are none."""
        return self._look(value, self._max_text, None)

    def url(self, value: str) -> str:
        """The URL without user information, secret parameters, or secrets in its path."""
        return self._look(value, MAX_URL, None)

    def query(self, value: str) -> str:
        """The query of a URL (`url.query`, without the question mark) without secret parameters."""
        return self._query(value, None)

    def value(self, key: str, value: object) -> object:
        """What may leave under this key: by the key, then by the value; maps and sequences to a depth of 8.

        The same object when nothing changed. An object that is neither text, number, map nor sequence comes back as it is:
        make text of it first.
        """
        return self._value(key, value, _Budget(), None) if self.enabled else value

    def is_secret_key(self, key: str) -> bool:
        """True when whatever stands under this key is a secret."""
        return self.enabled and self._keys.what(key) is not None

    # --- structures ---------------------------------------------------------------------------------------------------

    def _value(self, key: str, value: object, budget: _Budget, notes: _Notes | None) -> object:
        what = self._keys.what(key)
        if what is not None:
            return _blank(key, value, what, notes)
        if isinstance(value, str):
            return self._string(key, value, notes)
        if value is None or isinstance(value, (int, float)):
            return value
        try:
            return self._nested(key, value, budget, notes)
        except Exception:  # noqa: BLE001 - somebody's map that cannot be read does not leave
            return marker("unreadable")

    def _string(self, key: str, value: str, notes: _Notes | None) -> str:
        if key in QUERY_KEYS:
            return self._query(value, notes)
        return self._look(value, MAX_URL if key in URL_KEYS else self._max_text, notes)

    def _nested(self, key: str, value: object, budget: _Budget, notes: _Notes | None) -> object:
        if isinstance(value, (bytes, bytearray)):
            decoded = bytes(value).decode("utf-8", "replace")
            cleaned = self._string(key, decoded, notes)
            return value if cleaned is decoded else cleaned
        if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
            return value
        if not budget.enter(len(value)):
            return TOO_DEEP
        try:
            if isinstance(value, Mapping):
                return self._mapping(value, budget, notes)
            return self._sequence(key, value, budget, notes)
        finally:
            budget.leave()

    def _mapping(self, value: Mapping[Any, Any], budget: _Budget, notes: _Notes | None) -> object:
        after: dict[Any, Any] = {}
        is_changed = False
        for name, inner in value.items():
            key = _as_key(name)
            if notes is not None:
                notes.path.append(key)
            cleaned_name = self.text(name) if isinstance(name, str) else name
            cleaned = self._value(key, inner, budget, notes)
            is_changed = is_changed or cleaned is not inner or cleaned_name is not name
            after[cleaned_name] = cleaned
            if notes is not None:
                notes.path.pop()
        return after if is_changed else value

    def _sequence(self, key: str, value: Iterable[Any], budget: _Budget, notes: _Notes | None) -> object:
        before = list(value)
        keys = [key] * len(before)
        if len(before) == 2 and isinstance(before[0], (str, bytes)):  # a header, as ASGI and http.client print it
            keys[1] = _as_key(before[0])
        after = [self._value(name, inner, budget, notes) for name, inner in zip(keys, before, strict=True)]
        if all(new is old for new, old in zip(after, before, strict=True)):
            return value
        return tuple(after) if isinstance(value, tuple) else after

    # --- text ---------------------------------------------------------------------------------------------------------

    def _query(self, value: str, notes: _Notes | None) -> str:
        given = "?" + value
        cleaned = self._look(given, MAX_URL, notes)
        return value if cleaned is given else cleaned[1:]

    def _look(self, value: str, longest: int, notes: _Notes | None) -> str:
        if len(value) < SHORTEST or not self.enabled or not self._is_suspicious(value):
            return value
        return self._clean(value, longest, notes)

    def _is_suspicious(self, value: str) -> bool:
        """The look that nearly all text stops at."""
        if self._patterns:
            return True
        if "=" in value or ":" in value or "--" in value:
            if "?" in value or any(map(value.lower().__contains__, self._key_triggers)):
                return True
        for mark, triggers in self._groups:
            if mark in value and any(map(value.__contains__, triggers)):
                return True
        return _MANY_DIGITS.search(value) is not None

    def _clean(self, value: str, longest: int, notes: _Notes | None) -> str:
        cleaned = value if len(value) <= longest else value[:longest]
        for rule in self._rules:
            if rule.may_match(cleaned):
                cleaned = _substitute(rule, cleaned, notes)
        if "?" in cleaned and "=" in cleaned:
            cleaned = self._parameters(cleaned, notes)
        cleaned = self._pairs(cleaned, notes)
        if _MANY_DIGITS.search(cleaned):
            cleaned = _substitute(CARD, cleaned, notes)
        for pattern in self._patterns:
            cleaned = _own(pattern, cleaned, notes)
        if len(value) > longest:
            return _shortened(cleaned, longest)
        return value if cleaned == value else cleaned

    def _parameters(self, text: str, notes: _Notes | None) -> str:
        """Parameters of URLs: names that mean something only there, and values that are encoded once more."""

        def replace(found: re.Match[str]) -> str:
            what = self._parameter(found["key"], found["value"])
            if what is None or not found["value"] or _MARKER.fullmatch(found["value"]):
                return found[0]
            if notes is not None:
                notes.add(what, f"the parameter {found['key'][:40]!r}", found["value"])
            return f"{found['key']}={marker(what)}"

        return _PARAMETER.sub(replace, text)

    def _parameter(self, key: str, value: str) -> str | None:
        name = unquote_plus(key) if "%" in key or "+" in key else key
        if not QUERY_ONLY.isdisjoint((name.lower(), *words_of(name)[-1:])):
            return "parameter"
        if name is not key and (what := self._keys.what(name)) is not None:
            return what
        for _ in range(3):
            if "%" not in value:
                return None
            value = unquote_plus(value)
            if self._look(value, MAX_URL, None) is not value:
                return "encoded"
        return None

    def _pairs(self, text: str, notes: _Notes | None) -> str:
        """Names of secrets with their values in running text, as people, JSON and Python print them."""
        parts: list[str] = []
        done = position = 0
        names: set[str] = set()
        while head := _HEAD.search(text, position):
            position = head.end()
            name = head["flag"] or head["key"]
            if not self._gate.search(name):
                continue
            names.add(name)
            if len(names) > MAX_NAMES:  # nobody writes that; somebody wants us to be busy
                return "".join((*parts, text[done : head.start()], TOO_LONG))
            what = self._keys.what(name)
            if what is None or _is_path(text, head):
                continue
            start, end = _value_span(text, position, name, what)
            if start < end:
                if notes is not None:
                    notes.add(what, f"the value of {name[:40]!r}", text[start:end])
                parts += (text[done:start], marker(what))
                done = position = end
        return "".join((*parts, text[done:])) if parts else text


class _Budget:
    """How deep and how wide a structure may still be."""

    __slots__ = ("depth", "items")

    def __init__(self) -> None:
        self.depth, self.items = MAX_DEPTH, MAX_ITEMS

    def enter(self, items: int) -> bool:
        """Pay for one structure; False when it is too much. To be paired with `leave` only when it was not."""
        if self.depth <= 0 or self.items < items:
            return False
        self.depth -= 1
        self.items -= items
        return True

    def leave(self) -> None:
        """Come back up."""
        self.depth += 1


def _groups(rules: Iterable[Rule]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The triggers of all rules by the character that must be there for any of them."""
    by_mark: dict[str, list[str]] = {}
    for rule in rules:
        by_mark.setdefault(rule.mark, []).extend(rule.triggers)
    return tuple((mark, tuple(dict.fromkeys(triggers))) for mark, triggers in by_mark.items())


def _as_key(name: object) -> str:
    if isinstance(name, str):
        return name
    return name.decode("latin-1") if isinstance(name, bytes) else ""


def _blank(key: str, value: object, what: str, notes: _Notes | None) -> object:
    if value is None or isinstance(value, bool):
        return value
    shown = value if isinstance(value, str) else "?"
    if isinstance(value, str) and (not value or _NO_SECRET.fullmatch(value) or _MARKER.fullmatch(value)):
        return value
    if notes is not None:
        notes.add(what, f"it stands under {key[:40]!r}", shown)
    return marker(what)


def _substitute(rule: Rule, text: str, notes: _Notes | None) -> str:
    parts: list[str] = []
    done = position = 0
    while found := rule.pattern.search(text, position):
        start = found.end("keep") if "keep" in rule.pattern.groupindex else found.start()
        secret = text[start : found.end()]
        if _MARKER.fullmatch(secret) or (rule.confirm is not None and not rule.confirm(secret)):
            position = found.start() + 1 if rule.overlaps else found.end()
            continue
        if notes is not None:
            notes.add(rule.what, "it looks like one", secret)
        parts += (text[done:start], marker(rule.what))
        done = position = found.end()
    return "".join((*parts, text[done:])) if parts else text


def _own(pattern: re.Pattern[str], text: str, notes: _Notes | None) -> str:
    """Apply a user's expression line by line."""

    def replace(found: re.Match[str]) -> str:
        start, end = found.span("secret" if "secret" in pattern.groupindex else 0)
        secret = found.string[start:end]
        if not secret or _MARKER.fullmatch(secret):
            return found[0]
        if notes is not None:
            notes.add("custom", f"it matches {pattern.pattern[:40]!r}", secret)
        return found.string[found.start() : start] + marker("custom") + found.string[end : found.end()]

    pieces = (
        line[start : start + MAX_LINE]
        for line in text.splitlines(keepends=True)
        for start in range(0, len(line), MAX_LINE)
    )
    return "".join(pattern.sub(replace, piece) for piece in pieces)


def _shortened(text: str, longest: int) -> str:
    """Cut, but never in the middle of a marker."""
    kept = text[: longest - len(TOO_LONG)]
    opened = kept.rfind("[redacted:")
    if opened >= 0 and "]" not in kept[opened:]:
        kept = kept[:opened]
    return kept + TOO_LONG


# --- where the value of a name ends -----------------------------------------------------------------------------------


def _is_path(text: str, head: re.Match[str]) -> bool:
    """`POST /oauth/token: 200` names a place, not a value."""
    return head.start() > 0 and text[head.start() - 1] == "/" and ":" in text[head.end("key") : head.end()]


def _value_span(text: str, start: int, name: str, what: str) -> tuple[int, int]:
    """Where the value begins and ends; an empty span when there is nothing to hide."""
    if what not in _TO_END_OF_LINE and _DONE.match(text, start):
        return start, start
    start, end = _extent(text, start, what)
    secret = text[start:end]
    if not secret.strip() or _NO_SECRET.fullmatch(secret) or _MARKER.fullmatch(secret) or _is_placeholder(secret, name):
        return start, start
    return start, end


def _is_placeholder(secret: str, name: str) -> bool:
    """`password = :password_1` in an SQL statement."""
    return secret.startswith(":") and secret.rstrip("_0123456789)")[1:] in {name, "param", words_of(name)[-1]}


def _extent(text: str, start: int, what: str) -> tuple[int, int]:
    opener = _OPENER.match(text, start)
    if opener is not None:
        return opener.end(), _end_of_quoted(text, opener.end(), opener[1])
    if text[start : start + 1] in _OPENING:
        return start, _end_of_bare(text, _end_of_brackets(text, start), strip=False)
    if what in _TO_END_OF_LINE:
        rest = _REST_OF_LINE.match(text, start)
        return start, rest.end() if rest else start
    return start, _end_of_bare(text, start, strip=True)


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    if len(quote) == 1:
        found = _QUOTED[quote].match(text, start)
        return found.end() if found else len(text)
    end = text.find(quote, start)
    return end if end >= 0 else len(text)


def _end_of_bare(text: str, start: int, *, strip: bool) -> int:
    found = _BARE.match(text, start)
    if found is None:
        return start
    kept = found[0].rstrip(")]}") if strip else found[0]  # `Settings(password=x)`
    return start + len(kept) if kept else found.end()


def _end_of_brackets(text: str, start: int) -> int:
    depth = 0
    for seen, found in enumerate(_BRACKET.finditer(text, start)):
        depth += 1 if found[0] in _OPENING else -1
        if depth == 0:
            return found.end()
        if seen > MAX_NAMES:
            break
    return len(text)


# --- building, explaining ---------------------------------------------------------------------------------------------


def build_redactor(settings: Settings) -> Redactor:
    """The redactor that the settings describe."""
    longest = max(MAX_TEXT, settings.max_attribute_length, settings.max_span_attribute_length or 0)
    return Redactor(
        keys=settings.redact_keys,
        patterns=[re.compile(pattern) for pattern in settings.redact_patterns],
        personal=settings.redact_personal,
        max_text=max(longest, settings.max_log_attribute_length or 0),
        enabled=settings.redact,
    )


def explain(subject: object, settings: Settings | None = None) -> tuple[Finding, ...]:
    """What would be redacted in a text, or in a map of attributes, and why; nothing of the secrets themselves.

    Args:
        subject: A text, a map, or anything that `Redactor.value` takes.
        settings: By default those of the environment.
    """
    redactor = build_redactor(load().settings if settings is None else settings)
    notes = _Notes()
    if redactor.enabled:
        redactor._value("", subject, _Budget(), notes)
    return tuple(notes.found)


# --- our own log lines ------------------------------------------------------------------------------------------------


class _LogFilter(logging.Filter):
    """Cleans a record before any handler sees it, the text of its exception included."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; it always passes."""
        try:
            record.msg, record.args = self._redactor.text(record.getMessage()), None
            if record.exc_info:
                text = record.exc_text or logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
                record.exc_text, record.exc_info = self._redactor.text(text), None
        except Exception:  # noqa: BLE001 - a message that cannot be read does not leave
            record.msg, record.args, record.exc_info, record.exc_text = marker("unreadable"), None, None, None
        return True


def redact_own_log(redactor: Redactor | None = None) -> None:
    """Clean what this package logs, because an error of ours may quote an address with a password in it."""
    for old in [known for known in logger.filters if isinstance(known, _LogFilter)]:
        logger.removeFilter(old)
    logger.addFilter(_LogFilter(redactor or Redactor()))
