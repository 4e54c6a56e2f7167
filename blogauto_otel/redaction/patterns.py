"""What secrets look like, whatever they are called: keys of the usual issuers, credentials, cards, personal data.

Every expression is linear in the text: no repetition inside a repetition, and what may begin anywhere is bounded.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from blogauto_otel.redaction.pairs import is_no_secret


@dataclass(frozen=True)
class Pattern:
    """One kind of secret in a text.

    Attributes:
        what: Its name in the marker.
        mark: What is there whenever one of the triggers is.
        triggers: Pieces of text without one of which the expression cannot match.
        pattern: A group `keep` stays, the rest of the match goes.
        confirm: A second look at what would go.
        overlaps: What failed the second look may hide the beginning of another match.
    """

    what: str
    mark: str
    triggers: tuple[str, ...]
    pattern: re.Pattern[str]
    confirm: Callable[[str], bool] | None = None
    overlaps: bool = False

    def may_match(self, text: str) -> bool:
        """The cheap look that comes first."""
        return self.mark in text and any(trigger in text for trigger in self.triggers)


def _has_digit(secret: str) -> bool:
    return re.search("[0-9]", secret) is not None


def _is_no_name(secret: str) -> bool:
    """`npm_config_user_agent` is a variable."""
    return re.search("[0-9A-Z]", secret.partition("_")[2]) is not None


def _is_no_word(secret: str) -> bool:
    """`Bearer authentication` is no credential."""
    return len(secret) >= 24 or not secret.isalpha() or not (secret.islower() or secret.istitle())


def _is_basic(secret: str) -> bool:
    """Base64 of `user:password`."""
    try:
        return b":" in base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _is_given(secret: str) -> bool:
    return not is_no_secret(secret)


def _doubled(digit: int) -> int:
    return digit * 2 - 9 if digit > 4 else digit * 2


_ZERO: Final = ord("0")
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes(_doubled(digit) + _ZERO for digit in range(10)))


def _is_card(number: str) -> bool:
    """The check digit of ISO/IEC 7812."""
    digits = number.replace(" ", "").replace("-", "").encode()[::-1]
    total = sum(digits[0::2]) + sum(digits[1::2].translate(_DOUBLED)) - _ZERO * len(digits)
    return total % 10 == 0


def _has_birthday(number: str) -> bool:
    """A resident registration number begins with a date; its check digit has meant nothing since October 2020."""
    digits = number.replace("-", "").replace(" ", "")
    century = "19" if digits[6] in "1256" else "20"
    try:
        dt.date(int(century + digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    return True


def _issued(*prefixes: str, characters: str = r"\w-", least: int = 16) -> re.Pattern[str]:
    """A key that begins with the name of its issuer."""
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(prefixes)})[{characters}]{{{least},}}", re.ASCII)


_BEARER: Final = re.compile(r"(?P<keep>\bbearer\s{1,4})[\w.~+/=-]{8,}", re.ASCII | re.IGNORECASE)
_BASIC: Final = re.compile(r"(?P<keep>\bbasic\s{1,4})[\w+/]{6,}={0,2}", re.ASCII | re.IGNORECASE)

# fmt: off
PATTERNS: Final = (
    Pattern("private-key", "-", ("-----",), re.compile(
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)", re.DOTALL,
    )),
    # The end of one whose beginning was cut off.
    Pattern("private-key", "-", ("-----",), re.compile(
        r"(?<![\w+/=\s\\])[A-Za-z0-9+/=\s\\]{16,}-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----", re.ASCII,
    )),
    Pattern("credentials", "@", ("://",), re.compile(r"(?<=://)[^\s/?#\"'<>]+(?=@)")),
    # A database's password may hold an unescaped slash; in http that would be a path.
    Pattern("credentials", "@", ("://",), re.compile(
        r"(?P<keep>\b(?!http)[a-z][a-z0-9+.]{1,20}://)[^\s@\"'<>:\[]{0,96}:[^\s@\"'<>]{1,96}(?=@)", re.IGNORECASE,
    )),
    Pattern("jwt", "J", ("eyJ",), re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{10,}(?:\.[\w-]*){0,4}", re.ASCII)),
    Pattern("token", " ", ("earer ", "EARER "), _BEARER, _is_no_word),
    Pattern("token", "\n", ("earer\n", "earer\r", "EARER\n", "EARER\r"), _BEARER, _is_no_word),
    Pattern("credentials", " ", ("asic ", "ASIC "), _BASIC, _is_basic),
    Pattern("credentials", "\n", ("asic\n", "asic\r", "ASIC\n", "ASIC\r"), _BASIC, _is_basic),
    Pattern("api-key", "-", ("sk-",), _issued("sk-"), _has_digit),
    Pattern("api-key", "A", ("AIza", "AQ."), _issued("AIza", r"AQ\.", least=20)),
    # The secret of an AWS key has no sign of its own: it is what stands beside the key.
    Pattern("aws-key", "A", ("AKIA", "ASIA"), re.compile(
        r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])(?:[\s:;,|/\"'=]{1,4}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+]))?",
    )),
    Pattern("api-key", "_", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), _issued(
        "gh[pousr]_", "github_pat_",
    )),
    Pattern("api-key", "_", ("_live_", "_test_", "_sk_", "_gsk_"), _issued(
        "[srp]k_(?:org_)?(?:live|test)_", "(?:live|test)_g?sk_",
    )),
    Pattern("api-key", "_", (
        "whsec_", "hf_", "npm_", "gsk_", "shpat_", "shpca_", "shppa_", "shpss_", "sntrys_", "sntryu_", "glsa_", "glc_",
        "dop_v1_", "dckr_pat_", "pcsk_", "lin_api_", "ntn_", "figd_", "r8_",
    ), _issued(
        "whsec_", "hf_", "npm_", "gsk_", "shp(?:at|ca|pa|ss)_", "sntry[su]_", "glsa_", "glc_", "dop_v1_", "dckr_pat_",
        "pcsk_", "lin_api_", "ntn_", "figd_", "r8_", characters=r"\w+/=",
    ), _is_no_name),
    Pattern("api-key", "-", (
        *(f"xox{letter}-" for letter in "abcdeoprs"), "xapp-", "glpat-", "gldt-", "glrt-", "glptt-", "pypi-", "pplx-",
        "xai-", "GOCSPX-", "nvapi-", "tvly-", "xkeysib-", "PMAK-", "NRAK-",
    ), _issued(
        "xox[a-z]-", "xapp-", "gl(?:pa|d|r|pt)t-", "pypi-", "pplx-",
        "xai-", "GOCSPX-", "nvapi-", "tvly-", "xkeysib-", "PMAK-", "NRAK-", least=10,
    ), _has_digit),
    Pattern("api-key", ".", ("SG.", "hvs.", "hvb.", "ya29."), _issued(
        r"SG\.", r"hv[bs]\.", r"ya29\.", characters=r"\w.-", least=20,
    )),
    # Twilio's and Mailgun's are letters and figures as many an id; what they begin with tells them.
    Pattern("api-key", "S", ("SK",), re.compile(r"(?<![\w-])SK[0-9a-f]{32}(?![\w-])", re.ASCII)),
    Pattern("api-key", "-", ("key-",), re.compile(r"(?<![\w-])key-[0-9a-f]{32}(?![\w-])", re.ASCII)),
    # It stands in the path of every address of Telegram's, and httpx logs those.
    Pattern("token", ":", ("/bot", ":AA"), re.compile(
        r"(?:(?<=/bot)[0-9]{6,12}:[\w-]{30,}|(?<!\w)[0-9]{8,12}:AA[\w-]{32,})", re.ASCII,
    )),
    # What is kept of a password may be tried at home.
    Pattern("password-hash", "$", ("$2", "$argon2", "pbkdf2_sha"), re.compile(
        r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}|\$argon2(?:id?|d)\$[\w$=,+/.-]{40,}"
        r"|pbkdf2_sha[0-9]{1,3}\$[0-9]{1,8}\$[\w+/=.]{1,64}\$[\w+/=]{16,}", re.ASCII,
    )),
    # CREATE ROLE app PASSWORD 'x', Invalid password "x"
    Pattern("password", "'", ("assword '", "ASSWORD '", "DENTIFIED BY '", "dentified by '", "PI key '"), re.compile(
        r"(?P<keep>(?:password|identified by|api key) ')(?:[^'\s]|'')[^'\r\n]*(?='(?!:)|[\r\n]|\Z)", re.IGNORECASE,
    ), _is_given),
    Pattern("password", '"', ('assword "', 'PI key "'), re.compile(
        r"(?P<keep>(?:password|api key) \")[^\"\s][^\"\r\n]*(?=\"(?!:)|[\r\n]|\Z)", re.IGNORECASE,
    ), _is_given),
    # Options of one letter mean something only to the command they are given to.
    Pattern("password", "-", ("sshpass", "mysql", "mariadb"), re.compile(
        r"(?P<keep>\bsshpass[\"']?,? [\"']?-p[\"']?,? ?[\"']?|(?<![\w-])-p(?=[^\s\"',]))[^\s\"',]+",
    )),
    Pattern("credentials", "-", ("curl",), re.compile(
        r"(?P<keep>(?<![\w-])-(?:u|-user|-proxy-user)(?:=|\s{1,3}|[\"'], ?)[\"']?)[^\s:\"',]{1,64}:[^\s\"',]+",
    )),
    # What databases and SQLAlchemy add to an error: whose address or password it is, the statement's text need not say.
    Pattern("sql-values", "[", ("[parameters: ",), re.compile(
        r"(?P<keep>\[parameters: ).+?(?=\](?:\n|\\n|\Z)|\Z)", re.DOTALL,
    )),
    Pattern("sql-values", "(", ("Key (", "row contains ("), re.compile(
        r"(?P<keep>\b(?:Key \((?:[^\n=K]|K(?!ey \()){1,256}\)=|row contains )\()"
        r".+?(?=\) (?:already|is (?:not|still))|\)\.?(?:\n|\\n|\Z)|\n|\Z)",
    )),
    Pattern("sql-values", "'", ("uplicate entry '",), re.compile(
        r"(?P<keep>\bDuplicate entry ').+?(?=' for key|\n|\Z)",
    )),
    # What SQLAlchemy logs of them with `echo=True`.
    Pattern("sql-values", "[", (
        "[generated in ", "[cached since ", "[raw sql", "[no key ", "[caching disabled ", "[dialect ", "[insertmany",
    ), re.compile(
        r"(?P<keep>\[(?:generated in|cached since|raw sql|no key|caching disabled|dialect|insertmanyvalues)\b"
        r"[^\]\n]{0,120}\] )[(\[{](?![)\]}]\Z).+", re.DOTALL,
    )),
    Pattern("webhook", "/", ("hooks.slack.com/", "/api/webhooks/"), re.compile(
        r"(?P<keep>hooks\.slack\.com/services/|/api/webhooks/)[\w/-]{10,}", re.ASCII,
    )),
)

MANY_DIGITS: Final = re.compile(r"[0-9]{4}[ -]?[0-9]{4,6}[ -]?[0-9]{4}")
CARD: Final = Pattern("card-number", "", ("",), re.compile(
    r"(?<![A-Za-z0-9_.])(?:(?:[3-6]|2[2-7])[0-9]{11,18}|(?:[3-6]|2[2-7])[0-9]{2,3}"
    r"(?:([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|([ -])[0-9]{6}\2[0-9]{4,5}))(?![A-Za-z0-9_]|\.[0-9])",
), _is_card, overlaps=True)

_DIGITS: Final = tuple("0123456789")
PERSONAL: Final[Mapping[str, Pattern]] = {
    "email": Pattern("email", "@", (".",), re.compile(
        r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}",
    )),
    "phone": Pattern("phone", "", _DIGITS, re.compile(
        r"(?<![A-Za-z0-9_.-])(?:(?:\+82[ -]?\(?0?\)?|0)1[016789][ -]?[0-9]{3,4}[ -]?[0-9]{4}"
        r"|0(?:2|[3-6][1-5]|70)[ )-][0-9]{3,4}[ -][0-9]{4})(?![A-Za-z0-9_-])",
    )),
    "rrn": Pattern("personal-id", "", _DIGITS, re.compile(
        r"(?<![A-Za-z0-9_.-])[0-9]{2}[01][0-9][0-3][0-9][ -]?[1-8][0-9]{6}(?![A-Za-z0-9_-])",
    ), _has_birthday),
}
# fmt: on
