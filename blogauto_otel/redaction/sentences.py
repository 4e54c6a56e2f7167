"""Secrets that a sentence, a table or a protocol names without a sign: `your password is x1`, `"AUTH" "default" "x"`.

Prose about a password is common, so the value itself must look like one: see `is_given_in_words`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from blogauto_otel._lazy_pattern import lazy_pattern


class Sentence(NamedTuple):
    """One wording.

    Attributes:
        kind: The kind of secret.
        triggers: Pieces of text without one of which the expression cannot match.
        expression: The group `keep` stays, the rest of the match is replaced.
        re2: The same for the Collector; RE2 has no lookaround.
        is_sure: Whether the words before the value leave no doubt; otherwise the value must look like a secret.
    """

    kind: str
    triggers: tuple[str, ...]
    expression: str
    re2: str
    is_sure: bool = False


# A letter and a digit or sign within one word, in either order.
_MIXED: Final = r"(?:[A-Za-z]+[0-9!@#$^*]|[0-9]+[A-Za-z!@#$^*])[A-Za-z0-9!@#$^*+]{3,}"
_FREE: Final = r"[A-Za-z0-9!@#$%^*+_-]{5,}"
_CODE: Final = r"[0-9]{4,8}"
_ONE_TIME: Final = "verification|security|confirmation|authentication|login|sign-in|access|one-time|mfa|2fa|otp|sms"
_KOREAN: Final = "비밀번호|비번|패스워드|암호"
_KOREAN_CODE: Final = "인증 ?번호|인증 ?코드|보안 ?코드|OTP ?번호"

# fmt: off
SENTENCES: Final = (
    # Your temporary password is x1y2z3. Password for bob: "x1y2z3"
    Sentence("password", ("assword ",),
             rf"(?P<keep>\bpassword (?:(?:for|of) \S{{1,64}}? )?(?:is|was):? [\"'`]?){_FREE}",
             r"(assword (?:for \S{1,64} )?(?:is|was):? [\"'`]?)"
             r"(?:[A-Za-z]{4,}[0-9!@#$^*]|[A-Za-z]*[0-9]+[A-Za-z])[A-Za-z0-9!@#$^*+]*"),
    # set password x1y2z3 for bob; a .netrc; the table of a command line
    Sentence("password", ("assword ",),
             rf"(?P<keep>\bpassword\s{{0,40}}(?:\|\s{{0,40}})?(?<=[\s|])){_MIXED}(?![\w./:=(])",
             r"(assword\s{0,40}[|\s]\s{0,40})(?:[0-9]+[A-Za-z]{4}|[A-Za-z]+[0-9]+[A-Za-z][A-Za-z0-9]{2})[A-Za-z0-9]*"),
    # password changed from 'x' to 'y'
    *(
        Sentence("password", ("assword ",),
                 rf"(?P<keep>\bpassword(?: \w{{1,20}}){{0,3}}? {first}(?:from|to) [\"'])[^\"'\r\n]+",
                 rf"(assword(?: \w{{1,20}}){{0,3}} {first}(?:from|to) [\"'])[^\"'\r\n]+", is_sure=True)
        for first in (r"from [\"'][^\"'\r\n]{1,128}[\"'] ", "")
    ),
    Sentence("token", ("code is",),
             rf"(?P<keep>\b(?:{_ONE_TIME}) code is:? ){_CODE}\b",
             rf"((?:{_ONE_TIME}) code is:? ){_CODE}\b", is_sure=True),
    Sentence("api-key", ("key provided: ",),
             r"(?P<keep>\bapi key provided: )[A-Za-z0-9_-]{16,}",
             r"(PI key provided: |pi key provided: )[A-Za-z0-9_-]{16,}", is_sure=True),
    # Korean, with the particle of the subject
    Sentence("password", tuple(_KOREAN.split("|")),
             rf"(?P<keep>(?:{_KOREAN})(?:는|은|가|이|를|을)? [\"'\[]?){_FREE}",
             rf"((?:{_KOREAN})(?:는|은|가|이|를|을)? [\"'\[]?)(?:[A-Za-z0-9!@#$%^*+_-]{{8,}}|{_MIXED})"),
    Sentence("token", ("인증", "보안", "번호"),
             rf"(?P<keep>(?:{_KOREAN_CODE})(?:는|은|가|이)? ?[\"'\[]?){_CODE}(?![0-9A-Za-z가-힣-])",
             rf"((?:{_KOREAN_CODE})(?:는|은|가|이)? ?[\"'\[]?){_CODE}\b", is_sure=True),
    Sentence("personal-id", ("주민",),
             r"(?P<keep>주민(?:등록)? ?번호(?:는|은)? ?)[0-9]{6} ?-? ?[0-9]{7}(?![0-9])",
             r"(주민(?:등록)? ?번호(?:는|은)? ?)[0-9]{6} ?-? ?[0-9]{7}", is_sure=True),
    # Redis: MONITOR, CONFIG SET
    Sentence("password", ('"AUTH" "', '"auth" "', 'requirepass" "', 'masterauth" "'),
             r"(?P<keep>\"(?:AUTH\"(?: \"[^\"\r\n]{1,64}\"(?= \"))?|(?:requirepass|masterauth)\") \")[^\"\r\n]+",
             r"(\"AUTH\" (?:\"[^\"]*\" )?\"|\"auth\" (?:\"[^\"]*\" )?\"|requirepass\" \"|masterauth\" \")[^\"\r\n]+",
             is_sure=True),
)
# fmt: on

_CHANGES: Final = lazy_pattern(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])|[a-z](?=[A-Z])|[A-Z](?=[A-Z][a-z])")
_ALGORITHM: Final = lazy_pattern(
    r"(?:[A-Z]{2,8}-?[0-9]{1,4}|(?i:sha-?[0-9]+|md5|argon2\w{0,2}|base64|utf-?8|pbkdf2)\b.*)"
)
_SIGN: Final = lazy_pattern(r"[!@#$%^*]")
ENOUGH_CHANGES: Final = 3


def is_given_in_words(value: str) -> bool:
    """Whether a word in prose looks like a password: it has a sign, or changes between letters and digits or in case.

    `hunter2` and `24lmnbxOaHnp` do; `incorrect`, `NULL`, `SHA256`, `base64encoded` and `UserPassword` do not.
    """
    if _ALGORITHM.fullmatch(value) is not None:
        return False
    if _SIGN.search(value) is not None:
        return True
    changes = sum(1 for _ in _CHANGES.finditer(value))
    return changes >= ENOUGH_CHANGES or (changes == 1 and re.fullmatch("[a-z]{4,}[0-9]{1,4}", value) is not None)
