"""Names whose values are secrets: `password`, `X-Api-Key`, `dbConnectionString`, `비밀번호`, and not `token_count`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Final

from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel._memo import BoundedMemo

Table = Mapping[str, tuple[str, ...]]

# fmt: off
# A key is split into words: `dbPassword`, `DB-PASSWORD` and `db.password` are the same two words. A key names a secret
# if it has one of these words ...
WORDS: Final[Table] = {
    "password": ("pwd", "pw", "pswd", "psw", "pword", "psk", "비번"),
    "secret": ("secret", "secrets", "시크릿"),
    "token": ("jwt", "bearer", "csrf", "xsrf", "otp", "totp"),
    "authorization": ("authorization",),
    "cookie": ("cookie", "cookies"),
    "session": ("session", "sess", "sid"),
    "credentials": ("creds", "cred"),
    "dsn": ("dsn",),
    "personal-id": ("ssn", "rrn", "jumin", "주민번호"),
    "card": ("cvv", "cvc", "cvv2", "cvc2"),
}
# ... or contains one of these texts ...
ANYWHERE: Final[Table] = {
    "password": (
        "password", "passwd", "passphrase", "passcode", "passwort", "비밀번호", "패스워드",
        "パスワード", "密码", "密碼",
    ),
    "personal-id": ("주민등록번호", "외국인등록번호", "여권번호", "운전면허번호"),
}
# ... or one of its words ends in one of these, as in `accesstoken` ...
ENDINGS: Final[Table] = {
    "secret": ("secret",),
    "token": ("token", "토큰", "인증번호", "인증코드", "보안코드"),
    "cookie": ("cookie",),
    "session": ("sessionid", "sessid"),
    "credentials": ("credential", "credentials"),
    "api-key": (
        "apikey", "accesskey", "secretkey", "privatekey", "accountkey", "servicekey",
        "시크릿키", "비밀키", "개인키", "인증키", "서비스키",
        "액세스키", "접근키", "암호키",
    ),
    "password": ("암호", "storepass", "keypass"),
    "card": ("creditcard", "cardnumber", "카드번호"),
    "connection-string": ("connectionstring",),
    "account": ("계좌번호",),
}
# ... or has two of these words in a row ...
PAIRS: Final[Table] = {
    "api-key": (
        "api key", "access key", "private key", "signing key", "encryption key", "account key", "auth key",
        "shared key", "master key", "ssh key", "license key", "hmac key", "decryption key", "fernet key", "aes key",
        "subscription key", "functions key", "session key", "secure key", "nonce key", "in key", "admin key", "app key",
        "service key", "api 키", "액세스 키", "비밀 키", "시크릿 키", "인증 키", "서비스 키",
    ),
    "token": (
        "auth tokens", "access tokens", "refresh tokens", "auth code", "code verifier",
        "recovery code", "backup code", "verification code", "security code", "mfa code", "fa code", "sms code",
        "인증 번호", "인증 코드", "보안 코드",
    ),
    "connection-string": ("connection string", "conn string", "conn str"),
    "card": ("credit card", "debit card", "card number", "card no"),
    "account": ("account number", "bank account"),
    "personal-id": ("resident registration", "resident number", "resident no", "social security", "passport number",
        "alien registration", "foreigner registration"),
}
# ... or its last word is one of these.
LAST: Final[Table] = {"password": ("pass", "salt"), "authorization": ("auth",), "pin": ("pin",)}
# The last words of parameters that are secrets in URLs and nowhere else.
PARAMETERS: Final[Table] = {
    "parameter": (
        "key", "code", "sig", "signature", "assertion", "ticket", "saml", "saml response", "keyid", "state", "nonce",
    ),
}
NO_PARAMETERS: Final = frozenset((
    "country code", "currency code", "error code", "exit code", "language code", "postal code", "status code",
    "zip code",
))
PARAMETER_TRIGGERS: Final = ("sig", "assertion", "ticket", "saml", "state", "nonce")  # in addition to TRIGGERS

# Not if its last word describes the secret: `token_count`, `password_changed_at` ...
HARMLESS: Final = frozenset((
    "affinity", "age", "alg", "algorithm", "algorithms", "arn", "at", "attempts", "audience", "backend", "bits",
    "bucket", "budget", "changed", "class", "consent", "cost", "count", "created", "days", "deleted", "description",
    "domain", "driver", "duration", "enabled", "endpoint", "engine", "error", "errors", "exception", "expired",
    "expires", "expiry", "factory", "failed", "failure", "failures", "field", "file", "format", "handler", "hasher",
    "hashers", "hint", "host", "hours", "httponly", "in", "index", "interval", "invalid", "issuer", "iterations",
    "kind", "label", "length", "lifetime", "limit", "location", "lock", "manager", "max", "message", "method",
    "middleware", "min", "minutes", "missing", "mode", "module", "ms", "name", "names", "options", "owner", "parser",
    "path", "placeholder", "policy", "prefix", "present", "prompt", "provider", "rate", "region", "removed",
    "requested", "required", "role", "rotated", "rotation", "rounds", "rule", "rules", "samesite", "scheme", "scope",
    "scopes", "score", "seconds", "secure", "service", "size", "source", "state", "status", "storage", "store",
    "stored", "strength", "template", "timeout", "total", "ttl", "type", "types", "updated", "uri", "url", "usage",
    "used", "valid", "validator", "validators", "version", "warning", "동의", "만료", "변경", "불일치", "실패", "오류",
    "expire", "flow", "ref", "reference", "refs", "throttle",
    # of source files in a trace: TokenFilter.java:42
    "cs", "go", "java", "js", "jsx", "kt", "php", "py", "rb", "rs", "ts", "tsx",
))
# ... or its last two words mean a position in a list, a token of a language, or the name of a header.
HARMLESS_PAIRS: Final = frozenset((
    "page token", "next token", "continuation token", "cursor token", "resume token", "sync token",
    "cancellation token",
    "unexpected token", "expected token", "near token", "stop token", "bos token", "eos token", "pad token",
    "unk token",
    "special token", "start token", "end token", "mask token", "token id", "card id", "account id", "key header",
    "token header", "credential id", "credentials id", "pull secrets", "pull secret",
))
# Two words with a blank between them are one name only if the second is one of these.
CONTINUING: Final = frozenset((
    "id", "value", "hash", "key", "string", "data", "code", "number", "confirmation", "again", "is", "was", "salt",
    "phrase", "확인", "값", "번호",
))
_ENDS_OF_HARMLESS_PAIRS: Final = frozenset(pair.partition(" ")[2] for pair in HARMLESS_PAIRS)
# Texts of which every name above contains one, except the Korean names: for the prefilter.
TRIGGERS: Final = (
    "pass", "pw", "psw", "psk", "secret", "token", "key", "auth", "cookie", "sess", "sid", "cred", "dsn", "jwt",
    "bearer", "srf", "otp", "ssn", "rrn", "cvv", "cvc", "card", "conn", "account", "resident", "social", "code", "pin",
    "salt", "jumin", "registration",
)
# fmt: on
# Attributes that hold a URL, and the query of one.
URL_KEYS: Final = frozenset(
    (
        "url.full",
        "http.url",
        "http.target",
        "url",
        "uri",
        "http.request.header.referer",
        "http.response.header.location",
    )
)
CONTENT: Final = "ai-content"  # the kind of prompts and answers
# `stripe_key`, `code`: these names mean many things, and only some of their values are secrets, as they look.
BY_LOOK: Final = "by-look"
_OTHER_KEYS: Final = frozenset((
    "cache", "dedup", "foreign", "idempotency", "object", "partition", "primary", "public", "routing", "row", "s3",
    "sort",
))  # fmt: skip

QUERY_KEYS: Final = frozenset(("url.query", "url.fragment", "query_string", "http.query"))

_WORD: Final = lazy_pattern(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]?|[A-Z]+[0-9]?|[0-9]+|[^\W0-9A-Za-z_]+")


MARKER: Final = lazy_pattern(r"\[redacted:[a-z0-9-]{1,32}\]")


def words_of(key: str) -> tuple[str, ...]:
    """The words of a key, in lower case, without those of our markers."""
    own = MARKER.sub("", key) if "[redacted:" in key else key
    return tuple(" ".join(_WORD.findall(own)).lower().split())


class Keys:
    """The kind of secret that a key names; results are remembered.

    Args:
        own: Further names; a key is secret if it contains all words of one of them in a row.
        beginnings: Beginnings of attribute names whose values do not leave, secret or not.
    """

    MAX_REMEMBERED: Final = 4_096
    MAX_LENGTH: Final = 256

    def __init__(self, own: Iterable[str] = (), beginnings: Iterable[str] = ()) -> None:
        self._beginnings = tuple(beginnings)
        self._own = tuple(words for words in map(words_of, own) if words)
        self._triggers = (*TRIGGERS, *(words[0] for words in self._own))
        self._remembered: BoundedMemo[str, str | None] = BoundedMemo(self.MAX_REMEMBERED)
        self._remembered_in_urls: BoundedMemo[str, str | None] = BoundedMemo(self.MAX_REMEMBERED)

    def kind(self, key: str) -> str | None:
        """The kind of secret that this key names, or None; `BY_LOOK` if its value must look like one."""
        try:
            return self._remembered[key]
        except KeyError:
            return self._learn(key)[0]

    def kind_in_url(self, key: str) -> str | None:
        """The same for the name of a parameter in a URL, where further names are those of secrets."""
        try:
            return self._remembered_in_urls[key]
        except KeyError:
            return self._learn(key)[1]

    def may_be_in(self, text: str) -> bool:
        """The prefilter: False if the text contains no name of a secret."""
        return not text.isascii() or has_any(text.lower(), self._triggers)

    def _learn(self, key: str) -> tuple[str | None, str | None]:
        found = self._find(key[: self.MAX_LENGTH])
        if len(key) <= self.MAX_LENGTH:
            self._remembered.remember(key, found[0])
            self._remembered_in_urls.remember(key, found[1])
        return found

    def _find(self, key: str) -> tuple[str | None, str | None]:
        """The kind of secret that it names anywhere, and in a URL."""
        if key.startswith(self._beginnings):
            return CONTENT, CONTENT
        if not (self.may_be_in(key) or has_any(key.lower(), PARAMETER_TRIGGERS)):
            return None, None
        if self._own:
            words = words_of(key)
            if any(_contains(words, own) for own in self._own):
                return "custom", "custom"
        first, _, second = key.partition(" ")
        if second and first:
            return self._find_of_two(first, words_of(second))
        return _kinds(words_of(key))

    def _find_of_two(self, given: str, second: tuple[str, ...]) -> tuple[str | None, str | None]:
        """The same for `first second`: `Api Key` and `session id` are names, `session user_id` is a word and a name."""
        found = _kinds(second)
        if not second or (len(second) > 1 and second[0] not in _ENDS_OF_HARMLESS_PAIRS):
            return found
        first = words_of(given)
        if found[0] in (None, BY_LOOK) and first and len(second) == 1:
            both = (*first, *second)
            if second[0] in CONTINUING:
                return _kinds(both)
            pair = _WORD_PAIRS.get((first[-1], second[0]))
            return (pair, pair) if pair else found
        if first and f"{first[-1]} {second[0]}" in HARMLESS_PAIRS:
            return None, None
        return found


def _kinds(words: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The kind of secret that the words of one name mean anywhere, and in a URL."""
    if words == ("state",):
        return None, _PARAMETERS["state"]
    last_two = " ".join(words[-2:])
    if not words or words[-1] in HARMLESS or last_two in HARMLESS_PAIRS:
        return None, None
    for test in _TESTS:
        found = test(words)
        if found is not None:
            return found, found
    if last_two in NO_PARAMETERS:
        return None, None
    is_many = words[-1] == "code" or (words[-1] == "key" and len(words) > 1 and words[-2] not in _OTHER_KEYS)
    return BY_LOOK if is_many else None, _PARAMETERS.get(words[-1]) or _PARAMETERS.get(last_two)


def has_any(text: str, parts: tuple[str, ...]) -> bool:
    """Whether one of the parts is in the text."""
    for part in parts:  # noqa: SIM110 - any() costs three times as much
        if part in text:
            return True
    return False


def _contains(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return any(words[start : start + len(part)] == part for start in range(len(words) - len(part) + 1))


def _by_word(table: Table) -> dict[str, str]:
    return {word: kind for kind, words in table.items() for word in words}


_WORDS, _ANYWHERE, _ENDINGS, _PAIRS, _LAST, _PARAMETERS = map(
    _by_word, (WORDS, ANYWHERE, ENDINGS, PAIRS, LAST, PARAMETERS)
)
_ALL_ENDINGS: Final = tuple(_ENDINGS)
_SHORTEST_ENDING: Final = min(len(ending) for ending in _ENDINGS if ending.isascii())


def _by_words(words: tuple[str, ...]) -> str | None:
    for word in words:
        if word in _WORDS:
            return _WORDS[word]
    return None


def _by_text(words: tuple[str, ...]) -> str | None:
    joined = "".join(words)
    for part, kind in _ANYWHERE.items():
        if part in joined:
            return kind
    return None


def _by_endings(words: tuple[str, ...]) -> str | None:
    for word in words:
        if len(word) < _SHORTEST_ENDING and word.isascii():
            continue
        bare = word.rstrip("0123456789")
        if bare.endswith(_ALL_ENDINGS):
            return next(kind for ending, kind in _ENDINGS.items() if bare.endswith(ending))
    return None


def _by_pairs(words: tuple[str, ...]) -> str | None:
    singular = (*words[:-1], words[-1][:-1]) if words[-1] in ("keys", "codes") else words
    for pair in itertools.pairwise(singular):
        if pair in _WORD_PAIRS:
            return _WORD_PAIRS[pair]
    return None


def _by_last_word(words: tuple[str, ...]) -> str | None:
    return _LAST.get(words[-1])


_WORD_PAIRS: Final = {tuple(pair.split(" ")): kind for pair, kind in _PAIRS.items()}
_TESTS: Final = (_by_words, _by_text, _by_endings, _by_pairs, _by_last_word)
