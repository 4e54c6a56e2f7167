"""Patterns of secrets that need no name: credentials, key material, webhooks, cards, personal data.

Tokens with a prefix are in `issuers`, values quoted by databases in `database_errors`, prose in `sentences`. Every expression is linear in the
text: no repetition inside a repetition, and every repetition that may begin anywhere is bounded.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.redaction.cards import CARD as CARD_NUMBER
from blogauto_otel.redaction.cards import is_card
from blogauto_otel.redaction.database_errors import EXPRESSIONS
from blogauto_otel.redaction.issuers import AFTER_NAME, NAMES_BEFORE, REFRESH
from blogauto_otel.redaction.pattern import Pattern
from blogauto_otel.redaction.prefilter import may_hold_card, may_hold_groups
from blogauto_otel.redaction.sentences import SENTENCES, is_given_in_words
from blogauto_otel.redaction.values import is_no_secret


def _is_no_word(secret: str) -> bool:
    """`Bearer authentication` and `Bearer realm=api` are no credentials."""
    if secret.startswith(("realm=", "error=", "scope=", "authorization_uri=")):
        return False
    return len(secret) >= 24 or not secret.isalpha() or not (secret.islower() or secret.istitle())


def _is_basic(secret: str) -> bool:
    """Base64 of `user:password`."""
    try:
        return b":" in base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _is_given(secret: str) -> bool:
    return not is_no_secret(secret)


def _is_given_in_words(secret: str) -> bool:
    return not is_no_secret(secret) and is_given_in_words(secret)


def _is_user_with_secret(secret: str) -> bool:
    """`git@` and `me@` in a URL are names of users."""
    return re.fullmatch(r"[A-Za-z][a-z._-]{0,15}:?", secret) is None


def _is_application_password(secret: str) -> bool:
    """Six groups of WordPress, and not six words or a hexadecimal dump."""
    return (
        re.search("[a-z]", secret) is not None
        and re.search("[A-Z]", secret) is not None
        and re.search("[a-z0-9][A-Z]|[0-9][a-zA-Z]|[a-zA-Z][0-9]", secret) is not None
    )


def _has_birthday(number: str) -> bool:
    """A resident registration number begins with a date; its check digit has meant nothing since October 2020."""
    import unicodedata  # where birthdays are looked for

    digits = re.sub("[^0-9]", "", unicodedata.normalize("NFKC", number))
    century = "19" if digits[6] in "1256" else "20"
    try:
        dt.date(int(century + digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    return True


def _flags(expression: str, *, flags: int = 0) -> re.Pattern[str]:
    return lazy_pattern(expression, re.ASCII | flags)


_BEARER: Final = r"(?P<keep>\bbearer\s{1,4})[\w.~+/=-]{8,}"
_BASIC: Final = r"(?P<keep>\bbasic\s{1,4})[\w+/]{6,}={0,2}"
# Base64 on lines of its own, as it is or as `repr` shows it.
_BASE64_LINES: Final = r"[A-Za-z0-9+/=]{12,}(?:(?:\r?\n|\\r\\n|\\n)[A-Za-z0-9+/=]{4,76})*"
_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


def _options(letter: str) -> tuple[str, ...]:
    """An option of one letter as it stands on a command line, and in a list of arguments."""
    return f" -{letter}", f"'-{letter}", f'"-{letter}'


_USER_OPTIONS: Final = (*_options("u"), *_options("a"), "--user", "--proxy-user", "--auth")


# fmt: off
_KEY_MATERIAL: Final = (
    Pattern("private-key", ("-----",), lazy_pattern(
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,60}-----|\Z)",
    ), re2=r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,60}-----|\z)"),
    # The end of a key whose beginning was cut off.
    Pattern("private-key", ("-----",), _flags(
        r"(?<![\w+/=\s\\])[A-Za-z0-9+/=\s\\]{16,}-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----",
    ), re2=r"[A-Za-z0-9+/=\s\\]+-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"),
    # The body of a key: PKCS#8, PKCS#1, EC, OpenSSH, and PuTTY.
    Pattern("private-key", ("IBA", "MHcCAQEE", "MIGHAgEA", "MIHuAgEA", "MC4CAQAw", "b3BlbnNzaC1rZXkt"), _flags(
        r"(?<![A-Za-z0-9+/])(?:MII[A-Za-z0-9+/]{3}IBA[AD]|MHcCAQEE|MIGHAgEA|MIHuAgEA|MC4CAQAw|b3BlbnNzaC1rZXkt)"
        + _BASE64_LINES,
    )),
    Pattern("private-key", ("Private-Lines: ",), _flags(
        r"(?P<keep>\bPrivate-Lines: [0-9]{1,4}(?:\r?\n|\\r\\n|\\n))" + _BASE64_LINES,
    )),
    # The private members of a JSON Web Key, before and behind `kty`.
    Pattern("private-key", ('kty"', "kty'"), _flags(
        r"(?P<keep>[\"'](?:d|p|q|dp|dq|qi|k)\\?[\"']\s?:\s?\\?[\"'])[\w-]{16,}={0,2}",
    )),
    # Password hashes, which can be attacked offline: bcrypt, argon2, Django, crypt, Apache, LDAP, Werkzeug.
    Pattern("password-hash", ("$2", "$argon2", "sha1$", "sha256$", "sha512$"), _flags(
        r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}|\$argon2(?:id?|d)\$[\w$=,+/.-]{40,}"
        r"|pbkdf2_sha[0-9]{1,3}\$[0-9]{1,8}\$[\w+/=.]{1,64}\$[\w+/=]{16,}",
    )),
    Pattern("password-hash", ("$1$", "$5$", "$6$", "$y$", "$apr1$", "$7$"), _flags(
        r"\$(?:1|5|6|7|y|apr1)\$[\w./=$-]{20,}",
    )),
    Pattern("password-hash", ("SHA}", "pbkdf2:", "scrypt:"), _flags(
        r"\{S?SHA\}[A-Za-z0-9+/=]{20,}|\b(?:scrypt|pbkdf2):[\w:]{1,40}\$\w{4,64}\$[0-9a-f]{32,}",
    ), re2=r"\{SHA\}[A-Za-z0-9+/=]{20,}|\{SSHA\}[A-Za-z0-9+/=]{20,}"
           r"|scrypt:[\w:]{1,40}\$\w{4,64}\$[0-9a-f]{32,}|pbkdf2:[\w:]{1,40}\$\w{4,64}\$[0-9a-f]{32,}"),
)
_TOKENS: Final = (
    Pattern("token", ("1//0",), REFRESH),
    Pattern("token", ("earer", "EARER"),
            _flags(_BEARER, flags=re.IGNORECASE), _is_no_word, re2="|".join(rf"({word}\s{{1,4}})[\w.~+/=-]{{16,}}" for word in ("Bearer", "bearer", "BEARER"))),
    Pattern("credentials", ("asic", "ASIC"),
            _flags(_BASIC, flags=re.IGNORECASE), _is_basic, re2="|".join(rf"({word}\s{{1,4}})[\w+/]{{16,}}={{0,2}}" for word in ("Basic", "basic", "BASIC"))),
    Pattern("token", ("oauth:",), _flags(r"(?P<keep>(?<!\w)oauth:)[a-z0-9]{30}(?!\w)"), re2=r"(\boauth:)[a-z0-9]{30}"),  # Twitch
    Pattern("credentials", ("AUTH PLAIN ", "AUTH LOGIN ", "AUTH XOAUTH2 "), _flags(
        r"(?P<keep>\bAUTH (?:PLAIN|LOGIN|XOAUTH2) )[A-Za-z0-9+/]{8,}={0,2}",
    )),
    Pattern("token", ("akaoAK ",), _flags(r"(?P<keep>\bKakaoAK )[0-9a-f]{32}")),
    # The secret of an AWS key has no prefix of its own: it is found by the key beside it.
    Pattern("aws-key", ("AKIA", "ASIA", "ABIA", "ACCA", "A3T"), lazy_pattern(
        r"(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}(?![A-Z0-9])"
        r"(?:[\s:;,|/\"'=]{1,4}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+]))?",
    ), re2="|".join(
        rf"{prefix}[A-Z0-9]{{16}}\b(?:[\s:;,|/\"'=]{{1,4}}[A-Za-z0-9/+]{{40}})?"
        for prefix in ("AKIA", "ASIA", "ABIA", "ACCA", "A3T[A-Z0-9]")
    )),
    # Azure writes its marker into the middle of a key, New Relic and Mailchimp at the end.
    Pattern("api-key", ("AzFu", "AzSe", "+ASt", "+ASb", "+AEh", "+ARm", "+ACR", "ACDb"), _flags(
        r"[A-Za-z0-9+/_-]{20,100}(?:AzFu|AzSe|\+ASt|\+ASb|\+AEh|\+ARm|\+ACR|ACDb)[A-Za-z0-9+/_-]{5,40}={0,2}",
    ), re2=r"[A-Za-z0-9+/_-]+(?:AzFu|AzSe|\+ASt|\+ASb|\+AEh|\+ARm|\+ACR|ACDb)[A-Za-z0-9+/_-]{5,}={0,2}"),
    Pattern("api-key", ("NRAL",), _flags(r"(?<!\w)[0-9a-f]{32}(?:FFFF)?[0-9a-f]{0,4}NRAL(?!\w)")),
    Pattern("api-key", tuple(f"-us{digit}" for digit in range(1, 10)), _flags(r"(?<![\w-])[0-9a-f]{32}-us[0-9]{1,2}(?![\w-])")),
    Pattern("token", ("access_token$",), _flags(r"\baccess_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}")),
    Pattern("token", (":APA91b",), _flags(r"(?<![\w-])[\w-]{11,24}:APA91b[\w-]{40,}")),
)
# The test of `issuers` covers these: no other test runs before them.
TOKENS: Final = (
    Pattern("token", ("1//0",), REFRESH),
    Pattern("token", NAMES_BEFORE, AFTER_NAME,
            re2=r"(?i)(\b(?:token|secret|api[ _-]?key|session(?: id)?)[ \t]{1,8}[\"']?)[A-Za-z0-9_-]{32,}"),
    Pattern("jwt", ("eyJ",), _flags(r"(?<![A-Za-z0-9])(?:sk\.)?eyJ[\w-]{10,}(?:\.[\w-]*){0,4}"),
            re2=r"eyJ[\w-]{10,}(?:\.[\w-]*){0,4}"),
    # A JWT that was encoded once more.
    Pattern("jwt", ("ZXlK",), _flags(r"(?<![A-Za-z0-9])ZXlK[\w+/=-]{40,}")),
    Pattern("api-key", ("Q~",), _flags(r"(?<![\w~.-])[\w~.-]{3}[0-9]Q~[\w~.-]{31,34}(?![\w~-])")),
    Pattern("token", (".atlasv1.",), _flags(r"(?<![A-Za-z0-9])[A-Za-z0-9]{10,20}\.atlasv1\.[\w-]{40,}")),
    Pattern("api-key", ("_mmk",), _flags(r"(?<!\w)[A-Za-z0-9]{6}_[A-Za-z0-9]{20,40}_mmk(?!\w)")),
    Pattern("api-key", ("JQQJ99",), _flags(r"[A-Za-z0-9+/_-]{20,100}JQQJ99[A-Za-z0-9+/_-]{5,40}={0,2}"),
            re2=r"[A-Za-z0-9+/_-]+JQQJ99[A-Za-z0-9+/_-]{5,}={0,2}"),
)
_CREDENTIALS: Final = (
    Pattern("credentials", ("://",), lazy_pattern(r"(?<=://)[^\s/?#\"'<>]+(?=@)"), _is_user_with_secret, needs="@",
            re2=r"(://)(?:[^\s/?#\"'<>:@]*:[^\s/?#\"'<>]+|[0-9a-f]{32})@"),
    # A database's password may hold an unescaped slash; in http that would be a path. A URL that cannot be parsed often
    # lacks a slash.
    Pattern("credentials", (":/",), lazy_pattern(
        r"(?P<keep>\b(?!http)[a-z][a-z0-9+.]{1,20}:/{1,3})[^\s@\"'<>:\[]{0,96}:[^\s@\"'<>]{1,96}(?=@)", re.IGNORECASE,
    ), needs="@", re2="|".join(
        rf"({scheme}[a-z0-9+.]{{0,20}}:/{{1,3}})[^\s@\"'<>:\[]{{0,96}}:[^\s@\"'<>]{{1,96}}@"
        for scheme in ("postgres", "mysql", "mariadb", "redis", "amqp", "mongodb")
    )),
    # CREATE ROLE app PASSWORD 'x', Invalid password "x"
    Pattern("password", ("assword '", "ASSWORD '", "BY '", "by '", "PI key '"), lazy_pattern(
        r"(?P<keep>(?:\bpassword|\bidentified (?:with [\w']{1,64} )?(?:by|as)|\bapi key) ')"
        r"(?:[^'\s]|'')[^'\r\n]*(?='(?!:)|[\r\n]|\Z)",
        re.IGNORECASE,
    ), _is_given, re2="|".join(rf"({words} ')[^'\s][^'\r\n]*" for words in (
        "assword", "ASSWORD", "PI key", "pi key", r"IDENTIFIED (?:WITH [\w']{1,64} )?(?:BY|AS)",
        r"dentified (?:with [\w']{1,64} )?(?:by|as)",
    ))),
    Pattern("password", ('assword "', 'PI key "'), lazy_pattern(
        r"(?P<keep>\b(?:password|api key) \")[^\"\s][^\"\r\n]*(?=\"(?!:)|[\r\n]|\Z)", re.IGNORECASE,
    ), _is_given, re2="|".join(rf"({words} \")[^\"\s:][^\"\r\n]*" for words in ("assword", "PI key", "pi key"))),
    # Options of one letter have a meaning only for certain commands.
    *(Pattern("password", _options("p"), lazy_pattern(
        r"(?P<keep>s(?<!\ws)shpass[\"']?,? [\"']?-p[\"']?,? ?[\"']?|-(?<![\w-]-)p[\"']?(?=[^\s\"',]))[^\s\"',]+",
    ), needs=command, re2=rf"({command}[^\n]{{0,200}}?[\s\"']-p[\"']?,? ?[\"']?)[^\s\"',]+") for command in ("sshpass", "mysql", "mariadb")),
    Pattern("password", (*_options("a"), *_options("w"), *_options("p")), lazy_pattern(
        r"(?P<keep>(?:r(?<!\wr)edis-cli|l(?<!\wl)dap\w{1,12}|d(?<!\wd)ocker login|p(?<!\wp)odman login|h(?<!\wh)elm registry login)\b"
        r"[^\r\n|;]{0,120}?[\s\"'](?:-a|-w|-p)[\"']?,?\s{1,3}[\"']?)[^\s\"',-][^\s\"',]*",
    ), re2="|".join(
        rf"({command}\b[^\r\n|;]{{0,120}}?[\s\"'](?:-a|-w|-p)[\"']?,?\s{{1,3}}[\"']?)[^\s\"',-][^\s\"',]*"
        for command in ("redis-cli", r"ldap\w{1,12}", "docker login", "podman login", "helm registry login")
    )),
    Pattern("credentials", _USER_OPTIONS, lazy_pattern(
        r"(?P<keep>-(?<![\w-]-)(?:u|a|-user|-proxy-user|-auth)(?:=|\s{1,3}|[\"'],\s?)\"(?=[^\"\r\n:]{1,64}:[^\"\r\n]))[^\"\r\n]+",
    ), re2=None),
    Pattern("credentials", _USER_OPTIONS, lazy_pattern(
        r"(?P<keep>-(?<![\w-]-)(?:u|a|-user|-proxy-user|-auth)(?:=|\s{1,3}|[\"'],\s?)'(?=[^'\r\n:]{1,64}:[^'\r\n]))[^'\r\n]+",
    ), re2=r"(\bcurl\b[^\n]{0,300}[\s\"'](?:-u|--user|--proxy-user)(?:=|[\s\"',]{1,4})[\"']?)[^\s:\"',]{1,64}:[^\"'\n]+"),
    Pattern("credentials", _USER_OPTIONS, lazy_pattern(
        r"(?P<keep>-(?<![\w-]-)(?:u|a|-user|-proxy-user|-auth)(?:=|\s{1,3}|[\"'],\s?))[^\s:\"',]{1,64}:[^\s\"',]+",
    ), re2=None),
    # In code: HTTPBasicAuth('bob', 'x'), set_basic_auth("bob", "x"), b64encode(b"bob:x")
    Pattern("credentials", ("asicAuth(", "asic_auth(", "ASIC_AUTH("), _flags(
        r"(?P<keep>basic_?auth\(\s?[bu]?[\"'][^\"'\r\n]{0,64}[\"'],\s?[bu]?[\"'])[^\"'\r\n]+", flags=re.IGNORECASE,
    ), re2="|".join(
        rf"({name}\(\s?[bu]?[\"'][^\"'\r\n]{{0,64}}[\"'],\s?[bu]?[\"'])[^\"'\r\n]+"
        for name in ("asicAuth", "asic_auth", "ASIC_AUTH")
    )),
    Pattern("credentials", ("64encode(", "btoa("), _flags(
        r"(?P<keep>\b(?:\w{0,20}b64encode|btoa)\(\s?[bu]?[\"'][^\"'\r\n:]{1,64}:)[^\"'\r\n]+",
    ), re2="|".join(rf"({name}\(\s?[bu]?[\"'][^\"'\r\n:]{{1,64}}:)[^\"'\r\n]+" for name in ("b64encode", "btoa"))),
    # .pgpass
    Pattern("password", (":5432:", ":6432:", ":5433:"), _flags(
        r"(?P<keep>[\w.*-]{1,64}:(?:5432|5433|6432):[\w*-]{1,64}:[\w*.-]{1,64}:)[^\s:]\S*",
    ), re2="|".join(rf"(:{port}:[\w*-]{{1,64}}:[\w*.-]{{1,64}}:)[^\s:]\S*" for port in ("5432", "5433", "6432"))),
)
_WEBHOOKS: Final = (
    Pattern("webhook", ("hook",), _flags(
        r"(?P<keep>\bhooks\.slack\.com/(?:services|workflows|triggers)/|\bhook\.dooray\.com/services/)[\w/+-]{10,}",
    ), re2=r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/+-]{10,}|(hook\.dooray\.com/services/)[\w/+-]{10,}"),
    Pattern("webhook", ("hook",), _flags(r"(?P<keep>/api/(?:v[0-9]{1,2}/)?webhooks/)[0-9]{6,}/[\w-]{10,}")),
    Pattern("webhook", ("hook",), _flags(
        r"(?P<keep>\.office\.com/webhook(?:b2)?/|/connect-api/webhook/|/bot/v2/hook/)[\w@/-]{10,}",
    ), re2="|".join(
        rf"({path})[\w@/-]{{10,}}" for path in (r"\.office\.com/webhook(?:b2)?/", "/connect-api/webhook/", "/bot/v2/hook/")
    )),
    Pattern("webhook", ("hook",), _flags(
        r"(?P<keep>/bot/v2/hook/|/hooks/(?:catch/)?)(?=[\w/-]{0,24}[0-9])[\w-]{7,}(?:/[\w-]{5,})?",
    ), re2=r"(/bot/v2/hook/)[\w-]{16,}(?:/[\w-]{5,})?|(/hooks/(?:catch/)?)[\w-]{16,}(?:/[\w-]{5,})?"),
    Pattern("webhook", ("://hook.", "://maker.ifttt", "://events.pagerduty", "://hc-ping"), _flags(
        r"(?P<keep>\bhook\.[a-z0-9]{2,6}\.make\.com/|\bmaker\.ifttt\.com/trigger/[\w-]{1,80}/(?:json/)?with/key/"
        r"|\bevents\.pagerduty\.com/integration/|\bhc-ping\.com/)[\w-]{16,}",
    ), re2="|".join(rf"({url})[\w-]{{16,}}" for url in (
        r"hook\.[a-z0-9]{2,6}\.make\.com/", r"maker\.ifttt\.com/trigger/[\w-]{1,80}/(?:json/)?with/key/",
        r"events\.pagerduty\.com/integration/", r"hc-ping\.com/",
    ))),
    # Telegram's URLs contain the token in their path, and httpx logs URLs.
    Pattern("token", (":AA",), _flags(
        r"(?:(?<=/bot)|(?<!\w))[0-9]{6,12}:AA[\w-]{30,}",
    ), re2=r"(/bot|\b)[0-9]{8,12}:AA[\w-]{30,}"),
)
# fmt: on

PATTERNS: Final = (
    *_KEY_MATERIAL,
    *_CREDENTIALS,
    *_TOKENS,
    *(Pattern("sql-values", (trigger,), expression) for trigger, expression in EXPRESSIONS),
    *_WEBHOOKS,
    *(
        Pattern(
            one.kind,
            one.triggers,
            lazy_pattern(one.expression, re.IGNORECASE),
            _is_given if one.is_sure else _is_given_in_words,
            re2=one.re2,
        )
        for one in SENTENCES
    ),
)
CARD: Final = Pattern("card-number", ("",), CARD_NUMBER, is_card, overlaps=True, may_hold=may_hold_card)
# Six groups of four, and further groups of four before and after, which look the same.
APPLICATION_PASSWORD: Final = Pattern(
    "password",
    (" ",),
    lazy_pattern(
        r"(?<![A-Za-z0-9])[A-Za-z0-9]{4}(?: [A-Za-z0-9]{4}){5,12}(?![A-Za-z0-9])",
    ),
    _is_application_password,
    may_hold=may_hold_groups,
)

# Korean numbers with a hyphen, a dot, a blank, brackets, in full width, or nothing between the groups.
_DASH: Final = "[ .\u00b7\\-\u2010-\u2015\u2212\uff0d]"
_DIGIT: Final = "[0-9\uff10-\uff19]"
_DIGITS: Final = tuple("0123456789\uff10")
PERSONAL: Final[Mapping[str, Pattern]] = {
    "email": Pattern(
        "email",
        ("@", "%40", "(at)", "[at]"),
        lazy_pattern(
            r"(?<![\w.%+-])[\w.%+-]{1,64}(?:@|%40| ?[(\[]at[)\]] ?)(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}",
        ),
    ),
    "phone": Pattern(
        "phone",
        _DIGITS,
        lazy_pattern(
            rf"(?<![A-Za-z0-9_.-])(?:"
            rf"(?:(?:(?:\+|00)82{_DASH}?\(?[0\uff10]?\)?{_DASH}?|82-)|\(?[0\uff10])[1\uff11][016789\uff10\uff11\uff16-\uff19]\)?"
            rf"{_DASH}{{0,3}}{_DIGIT}{{3,4}}{_DASH}{{0,3}}{_DIGIT}{{4}}"
            rf"|\(?0(?:2|[3-6][1-5]|70|50[2-8]?)\)?[ .)-]{{1,2}}[0-9]{{3,4}}[ .-][0-9]{{4}}"
            rf"|\+82[ -]?(?:2|[3-6][1-5]|70)[ -]?[0-9]{{3,4}}[ -]?[0-9]{{4}})(?![A-Za-z0-9_-])",
        ),
    ),
    "rrn": Pattern(
        "personal-id",
        _DIGITS,
        lazy_pattern(
            rf"(?<![A-Za-z0-9_.-]){_DIGIT}{{2}}[01\uff10\uff11]{_DIGIT}[0-3\uff10-\uff13]{_DIGIT}"
            rf"{_DASH}{{0,3}}[1-8\uff11-\uff18]{_DIGIT}{{6}}(?![A-Za-z0-9_-])",
        ),
        _has_birthday,
    ),
}
