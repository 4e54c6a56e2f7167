"""Texts that want to keep a redactor busy: a megabyte each, with ever new names where it could remember them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SIZE: Final = 1_000_000


def _repeated(piece: str) -> str:
    return piece * (SIZE // len(piece))


def _numbered(piece: str) -> str:
    """The piece, with another number for `#` each time."""
    return "".join(piece.replace("#", str(number)) for number in range(SIZE // (len(piece) + 5)))


# fmt: off
HOSTILE: Final[Mapping[str, str]] = {
    "a letter": _repeated("a"),
    "digits": _repeated("4111 1112 "),
    "cards": _repeated("4111111111111111 "),
    "cards within numbers": _repeated("4 4111-1111-1111-1111-1111 "),
    "a long URL": "https://x/" + _repeated("a"),
    "parameters": "https://x/?" + _repeated("a=1&"),
    "parameters of many names": "https://x/?" + _numbered("a#=1&"),
    "encoded parameters": "?" + _repeated("a=%25%25%25&"),
    "encoded names": "?" + _numbered("p%77#=%2525#&"),
    "encoded secrets": _repeated("a=%3Dtoken%3Dx "),
    "encoded paths": _repeated("/%2525a"),
    "percent signs": "?a=" + _repeated("%25"),
    "secrets": _repeated("pass=1;"),
    "names": _numbered("key#=;"),
    "long names": _numbered("x" * 70 + "#=1 key "),
    "names of many words": _numbered("aBcDeFgHiJ#Key=1 "),
    "names and no value": _repeated("password="),
    "names in Korean": _repeated("비밀번호=x "),
    "quotes": _repeated("\"'"),
    "escaped quotes": _repeated('pwd="\\"'),
    "escaped openers": _repeated('password: \\"'),
    "escaped escapes": _repeated('password=\\"\\\\"'),
    "brackets": "pwd=" + _repeated("["),
    "brackets of many secrets": _repeated("password=[("),
    "commas": "pwd=" + _repeated(",a"),
    "dashes": _repeated("-") + "pass=",
    "flags": _repeated("--a b ") + "key",
    "blanks": "pass" + _repeated(" ") + "=",
    "colons": _repeated("pass:"),
    "dots": _repeated("a.b-c_") + "token:",
    "lines of headers": _repeated("authorization: x\n"),
    "cookies": _repeated('cookie: "x\n'),
    "addresses of mail": _repeated("a@"),
    "schemes": _repeated("://"),
    "schemes and names": _repeated("://a:") + "@",
    "schemes and users": _repeated("://a@"),
    "databases": _repeated("ab://a:b") + "@",
    "tokens": _repeated("eyJ"),
    "bearers": _repeated("bearer "),
    "basic credentials": _repeated("Basic dXNlcg== "),
    "prefixes": _repeated("sk-"),
    "keys of AWS": _repeated("AKIAIOSFODNN7EXAMPLE "),
    "key blocks": _repeated("-----BEGIN PRIVATE KEY-----"),
    "beginnings of key blocks": _repeated("-----BEGIN "),
    "webhooks": _repeated("hooks.slack.com/services/"),
    "rows of PostgreSQL": _repeated("Key ("),
    "rows of MySQL": _repeated("Duplicate entry '"),
    "parameters of statements": _repeated("[parameters: "),
    "echoes of statements": _repeated("[generated in 1] ("),
    "fields of a form": "password " + _repeated('; name="a"'),
    "values of a form": _repeated('; name="password"\r\n\r\n'),
    "places of misfits": "password " + _repeated("'loc': [input], "),
    "misfits": _repeated("'loc': (password), 'input': "),
    "lines of misfits": "input " + _repeated("password\n  " + "b" * 180),
    "elements": "password " + _repeated("<a>b</a>"),
    "beginnings of elements": "password </" + _repeated("<pass "),
    "elements of secrets": _repeated("<pin>1</pin>"),
    "pairs": _repeated("('a', 'b'), ") + "password",
    "beginnings of pairs": "password " + _repeated("('a', "),
    "pairs of secrets": _repeated("('pin', '"),
    "entries": "password " + _repeated("name=a value="),
    "entries of blanks": "password value " + _repeated("name=" + " " * 90),
    "entries of one name": "password value " + _repeated("name="),
    "options": "password " + _repeated("-a b "),
    "command lines": _repeated("'--password', '"),
    "options of curl": "curl " + _repeated("-u a"),
    "options of mysql": "mysql " + _repeated("-p"),
    "credentials of digest": _repeated('authorization: a="'),
    "calls": _repeated("password=a("),
    "annotations": _repeated("password: a = '"),
    "blocks of YAML": "password: |\n" + _repeated(" a\n"),
    "lists of YAML": "password:\n" + _repeated("- a\n"),
    "many blocks of YAML": _repeated("password: |\n a\n"),
    "words of forms": _repeated("a=1& "),
    "a form without an end": _repeated("a=b="),
    "ends of key blocks": _repeated("abc -----END "),
    "one end of a key block": _repeated("abc ") + "-----END ",
    "hashes of passwords": _repeated("$argon2i$abc"),
    "long hashes of passwords": _repeated("pbkdf2_sha1$1$aaaa"),
    "quoted passwords": _repeated("password 'a"),
    "words before quoted passwords": _repeated("a" * 50 + "password \"x"),
    "statements": _repeated("[SQL: 'a"),
    "literals of a statement": "[SQL: " + _repeated("'a' "),
    "quotes of a statement": "[SQL: '" + _repeated("''"),
    "escapes of a statement": "[SQL: '" + _repeated("\\'"),
    "colors": _repeated("\x1b[1mpassword\x1b[0m=\x1b[1m"),
    "entities": _repeated("password&quot;: &quot;"),
    "escaped entities": _repeated("password\\\\u0022:\\\\u0022"),
    "markers": _repeated("password=[redacted:"),
}
# fmt: on
