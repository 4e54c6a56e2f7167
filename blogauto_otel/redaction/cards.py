"""Card numbers: 13 to 19 digits of an issuer's range with the check digit of ISO/IEC 7812."""

from __future__ import annotations

import re
from typing import Final

from blogauto_otel._lazy_pattern import lazy_pattern

# Not inside a UUID or another number; groups of four, or 4-6-5 and 4-6-4. It begins with a digit, which makes the
# search quick, and then looks at what is before it.
CARD: Final = lazy_pattern(
    r"[2-6](?<![A-Za-z0-9_.].)(?<![0-9a-fA-F]-.)(?:(?<=[3-6])|[2-7](?<=2.))(?:[0-9]{12,18}|[0-9]{2,3}"
    r"(?:([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|([ -])[0-9]{6}\2[0-9]{4,5}))(?![A-Za-z0-9_]|-[0-9a-fA-F]|\.[0-9])",
    re.DOTALL,
)
# The ranges that issuers use today, with the lengths they issue; longer and shorter numbers are ids of something else.
_RANGES: Final = lazy_pattern(
    r"4[0-9]{15}(?:[0-9]{3})?"  # Visa
    r"|4[0-9]{12}"  # Visa, until about 2005
    r"|(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)[0-9]+(?<=^[0-9]{16})"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11}(?:[0-9]{2})?"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}(?:[0-9]{3})?"  # JCB
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}(?:[0-9]{3})?"  # Discover, RuPay
    r"|62[0-9]{14}(?:[0-9]{3})?"  # UnionPay
    r"|(?:220[0-4]|9792)[0-9]{12}"  # Mir, Troy
    r"|(?:50|5[6-8]|6[0379])[0-9]{14}(?:[0-9]{2,3})?"  # Maestro
)
_EAN_LENGTH: Final = 13
_ZERO: Final = ord("0")


def _doubled(digit: int) -> int:
    return digit * 2 - 9 if digit > 4 else digit * 2


_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes(_doubled(digit) + _ZERO for digit in range(10)))


def is_card(number: str) -> bool:
    """Whether the digits can be those of a card: range, length and check digit; no article number (EAN)."""
    digits = number.replace(" ", "").replace("-", "")
    if _RANGES.fullmatch(digits) is None or (len(digits) == _EAN_LENGTH and _is_article(digits)):
        return False
    backwards = digits.encode()[::-1]
    total = sum(backwards[0::2]) + sum(backwards[1::2].translate(_DOUBLED)) - _ZERO * len(backwards)
    return total % 10 == 0


def _is_article(digits: str) -> bool:
    """The check digit of EAN-13; German articles begin with 4, as Visa's numbers do."""
    total = sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(digits))
    return total % 10 == 0
