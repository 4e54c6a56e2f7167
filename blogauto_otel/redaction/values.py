"""Values of secret names that are no secrets: placeholders, types, code, and messages about the secret."""

from __future__ import annotations

import re
from typing import Final

from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.redaction.keys import HARMLESS, MARKER, words_of

# No value, a placeholder, a value that is masked already, or one word about a value.
_NO_SECRET: Final = lazy_pattern(
    r"none|null|nil|true|false|undefined|\*+|x{3,}|\.{3}|\?|%s|%\(\w+\)s|\$[0-9]{1,3}(?:::\w+)?"
    r"|\{(?-i:[a-z_]*|[0-9]{1,2})\}|\$\{[\w:?.-]*\}?|(?-i:\$[A-Z][A-Z0-9_]+)|\{\{[ \w.|-]{0,80}\}\}"
    r"|<(?-i:[a-z][a-z _-]{0,40})>"
    r"|(?:ok|yes|no|on|off|missing|required|expired|invalid|unknown|empty|unset|disabled|enabled|failed|success|present"
    r"|absent|valid|unauthorized|forbidden|redacted|hidden|masked|filtered|\[filtered\]|omitted|include|omit|same-origin"
    r"|bearer|basic|eof)"
    r"|만료|없음|필수|누락|오류",
    re.IGNORECASE,
)
_PUNCTUATION: Final = lazy_pattern(r"[!-/:-@\]^`{-~]{1,2}")

# `password: must be at least 8 characters`, `secret: not found`, `비밀번호: 8자 이상이어야 합니다`; a message is not in
# capitals, and only a colon introduces one.
_PHRASE: Final = (
    r"(?:must|is|isn't|has|have|cannot|can't|should|shouldn't|may not|do not|does not|doesn't|was|were|required|missing"
    r"|invalid|expired|incorrect|too|not|field|this (?:field|value)|value|string|input should|ensure|at least|please"
    r"|only|signature|the (?:password|token|secret|value|access))\b"
)
_MESSAGE: Final = lazy_pattern(
    rf"(?:(?![A-Z]{{2}})(?i:{_PHRASE})[ .!,]+[^\W0-9_]|[0-9]{{1,2}}자|[0-9]{{1,3}} (?:of|loaded|items?|left)\b|필수 )"
)
_INTRODUCES_MESSAGE: Final = ":\uff1a"
_QUOTED_MESSAGE: Final = lazy_pattern(rf"(?:[a-z_ ]{{1,40}}: )?{_PHRASE}(?: [^\r\n\"' ]+){{2,40}}", re.IGNORECASE)
_LIST_OF_MESSAGES: Final = lazy_pattern(rf"\[\s?\\?[\"']{_PHRASE}(?: [^\r\n\"' ]+){{2,40}}\\?[\"']\s?\]", re.IGNORECASE)

# `password: str | None = None`, `api_key: SecretStr = Field(...)`
_TYPE: Final = lazy_pattern(
    r"(?:(?:typing\.)?Optional\[)?(?:str|bytes|int|string|text|Any|Token|SecretStr|SecretBytes|StrictStr)\]?"
    r"(?: ?\| ?None)?"
    r"(?: ?= ?(?:None|\.{3}|[A-Za-z_][\w.]{0,60}\([^\"'\r\n()]{0,80}\)))?(?=[,;)\]\r\n]|\Z)"
)
# `password = request.form.get("password")`, `token = create_token(user)`, `secret = settings.secret_key`
_CODE: Final = lazy_pattern(
    r"(?:await |new |self\.|this\.)*(?:"
    r"[a-z_]\w{0,40}(?:\.\w{1,40}){0,6}\.(?:get|getenv|getlist|pop|read|get_secret_value)\([\"'\w., ]{0,80}\)"
    r"|(?:os\.getenv|getenv|getpass(?:\.getpass)?|input|getattr)\([^()\r\n]{0,80}\)"
    r"|[a-z_]\w{0,40}(?:\.\w{1,40}){0,6}\([\w., =*]{0,80}\)"
    r"|[a-z_]+(?:\.[a-z_]+){1,6})(?=[\s;,:)]|\Z)"
)


def is_no_secret(value: str) -> bool:
    """True when there is no secret: no value, a placeholder, or a value that is masked already."""
    return not value or _NO_SECRET.fullmatch(value) is not None or MARKER.fullmatch(value) is not None


def is_message(text: str, start: int, end: int, *, sign: str, is_quoted: bool) -> bool:
    """Whether the text behind a sign is a message about a secret."""
    if _PUNCTUATION.fullmatch(text, start, end) is not None:
        return True
    if is_quoted:
        return _QUOTED_MESSAGE.fullmatch(text, start, end) is not None
    if text.startswith("[", start):
        return _LIST_OF_MESSAGES.match(text, start) is not None
    return sign in _INTRODUCES_MESSAGE and _MESSAGE.match(text, start) is not None


# `jwt: {algorithm: HS256, expires_in: 30m}`, `{"path": "token", "expirationSeconds": 3607}`
_MAP: Final = lazy_pattern(r"\{[^\[\]()\r\n]{1,512}\}")
_MAP_NAME: Final = lazy_pattern(r"([\w.-]{1,80})\\?[\"']?\s?[:=](?!\s?\{)")


def is_settings(value: str) -> bool:
    """Whether the value is a map of settings of a secret, none of which is the secret."""
    if _MAP.fullmatch(value) is None:
        return False
    names = [words_of(name) for name in _MAP_NAME.findall(value)]
    return bool(names) and all(words and words[-1] in HARMLESS for words in names)


# `STRIPE_KEY=a1B2...`, `code=a1B2...`: these names mean many things, and only some of their values are random.
_RANDOM_KEY: Final = lazy_pattern(r"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])(?=[^0-9]*[0-9])[A-Za-z0-9_-]{20,200}={0,2}")


def is_random_key(value: str) -> bool:
    """Whether the value looks like a random one."""
    return _RANDOM_KEY.fullmatch(value) is not None


def is_code(text: str, sign: str, start: int) -> bool:
    """Whether a type or an expression of a program is there; only programs have blanks around `=`."""
    if sign == ":":
        return _TYPE.match(text, start) is not None
    return sign == " = " and _CODE.match(text, start) is not None


# `?code=404`, `?code=not_found`, `?code=KR`, `?key=title`, `?state=open`: values that are no secrets in a URL.
_PLAIN_WORD: Final = lazy_pattern(r"[a-z]{4,20}|[a-z]{2,20}(?:[_-][a-z]{2,20}){1,4}|[A-Z]{2,3}|[0-9]{1,3}")
_ONLY_WHEN_LONG: Final = frozenset(("state", "nonce", "ticket"))
_LONG: Final = 16


def is_harmless(name: str, value: str) -> bool:
    """Whether a parameter of a URL with the name of a secret has a harmless value."""
    if name.rpartition("_")[2].lower() in _ONLY_WHEN_LONG and len(value) < _LONG:
        return True
    return _PLAIN_WORD.fullmatch(value) is not None
