"""What databases and their drivers quote in an error: values, rows, statements, parameters.

Each row is one wording. The words stay, the value is replaced.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from blogauto_otel._lazy_pattern import lazy_pattern


class Wording(NamedTuple):
    """One way to quote a value.

    Attributes:
        trigger: A piece of text without which the expression cannot match.
        expression: The group `keep` stays, the rest of the match is replaced.
        re2: The same for the Collector, where it differs: RE2 has no lookaround.
    """

    trigger: str
    expression: str
    re2: str = ""


# fmt: off
WORDINGS: Final = (
    # SQLAlchemy: parameters in an error and with `echo=True`.
    Wording("[parameters: ", r"(?P<keep>\[parameters: )(?s:.+?)(?=\](?:\n|\\n|\Z)|\Z)",
            r"(\[parameters: )(?:[^\]]|\][^\n\\])+"),
    Wording("[generated in ", r"(?P<keep>\[generated in\b[^\]\n]{0,120}\] )[(\[{](?![)\]}]\Z)(?s:.+)",
            r"(\[generated in\b[^\]\n]{0,120}\] )[(\[{][^)\]}](?s:.+)"),
    *(Wording(f"[{word}", rf"(?P<keep>\[{word}\b[^\]\n]{{0,120}}\] )[(\[{{](?![)\]}}]\Z)(?s:.+)",
              rf"(\[{word}\b[^\]\n]{{0,120}}\] )[(\[{{][^)\]}}](?s:.+)")
      for word in ("cached since", "raw sql", "no key", "caching disabled", "dialect", "insertmanyvalues")),
    # PostgreSQL: details, contexts, and the line of the statement, whose quotes may be cut off.
    Wording("Key (", r"(?P<keep>\bKey \((?:[^\n=K]|K(?!ey \()){1,256}\)=\()"
            r".+?(?=\) (?:already|is (?:not|still)|conflicts)|\)\.?(?:\n|\\n|\Z)|\n|\Z)",
            r"(\bKey \([^\n=]{1,256}\)=\()[^\n]+"),
    Wording("existing key (", r"(?P<keep>\bexisting key \([^\n=]{1,256}\)=\().+?(?=\)\.?(?:\n|\\n|\Z)|\n|\Z)",
            r"(\bexisting key \([^\n=]{1,256}\)=\()[^\n]+"),
    Wording("row contains (", r"(?P<keep>\brow contains \().+?(?=\)\.?(?:\n|\\n|\Z)|\n|\Z)",
            r"(\brow contains \()[^\n]+"),
    Wording("LINE ", r"(?P<keep>\bLINE [0-9]{1,6}: )(?:[^\n\\]|\\(?!n))+", r"(\bLINE [0-9]{1,6}: )[^\n]+"),
    Wording("nvalid input ", r"(?P<keep>\binvalid input syntax for [\w ]{1,60}: \")"
            r"[^\n]+?(?=\"(?:\n|\\n|\Z|[ ),'])|\n|\\n|\Z)",
            r"(\binvalid input syntax for [\w ]{1,60}: \")[^\n\"]+"),
    Wording("nvalid input ", r"(?P<keep>\binvalid input value for enum [\w.\"]{1,80}: \")[^\n\"]+"),
    Wording("literal: \"", r"(?P<keep>\bmalformed (?:array|record|range|multirange) literal: \")[^\n]+?(?=\"|\n|\Z)",
            r"(\bmalformed (?:array|record|range|multirange) literal: \")[^\n\"]+"),
    Wording("out of range: \"", r"(?P<keep>\bout of range: \")[^\n\"]+"),
    Wording("\" is out of range", r"(?P<keep>\bvalue \")[^\n\"]{1,256}(?=\" is out of range for type)",
            r"(\bvalue \")[^\n\"]{1,256}"),
    Wording("Token \"", r"(?P<keep>\bToken \")[^\n\"]{1,256}(?=\" is invalid)", r"(\bToken \")[^\n\"]{1,256}"),
    Wording("JSON data, line ", r"(?P<keep>\bJSON data, line [0-9]{1,9}: )[^\n]+"),
    Wording("NTEXT: ", r"(?P<keep>\bCOPY [\w.\"]{1,80}, line [0-9]{1,12}(?:, column [\w\"]{1,80})?: \")[^\n]+?(?=\"|\n|\Z)",
            r"(\bCOPY [\w.\"]{1,80}, line [0-9]{1,12}(?:, column [\w\"]{1,80})?: \")[^\n\"]+"),
    Wording("$1 = ", r"(?P<keep>\bparameters?:? \$1 = )[^\n]+"),
    Wording("or near \"", r"(?P<keep>\bat or near \")[^\n]+?(?=\"(?:\n|\\n|\Z|[ ,)'])|\n|\Z)", r"(\bat or near \")[^\n]+"),
    # asyncpg, psycopg
    Wording("nvalid input ", r"(?P<keep>\bquery argument \$[0-9]{1,5}: )[^\n]+?(?= \([^()\n]{1,256}\)|\n|\Z)",
            r"(\bquery argument \$[0-9]{1,5}: )[^\n(]+"),
    # MySQL, MariaDB
    Wording("alue: '", r"(?P<keep>\bincorrect \w{1,20}(?: \w{1,20})? ?value: ')[^\n]+?(?=' for |'[\"')]*(?:\n|\Z)|\n|\Z)",
            r"(\bincorrect \w{1,20}(?: \w{1,20})? ?value: ')[^\n']+"),
    Wording("uplicate entry '", r"(?P<keep>\bduplicate entry ').+?(?=' for key|\n|\Z)", r"(\bduplicate entry ')[^\n']+"),
    Wording("to use near '", r"(?P<keep>\bto use near ')[^\n]+?(?=' at line|'?(?:\n|\Z))", r"(\bto use near ')[^\n]+"),
    Wording("nvalid JSON text", r"(?P<keep>\binvalid JSON text[^\n\"]{0,80}: \")[^\n\"]+"),
    # SQLite
    Wording("\": syntax error", r"(?P<keep>\bnear \")[^\n]{1,256}?(?=\": syntax error)", r"(\bnear \")[^\n\"]{1,256}"),
    Wording("ized token: \"", r"(?P<keep>\bunrecognized token: \")[^\n]+"),
    # SQL Server, Oracle, DuckDB
    Wording(" value '", r"(?P<keep>\bconverting the \w{1,40} value ')[^\n']+"),
    Wording("key value is (", r"(?P<keep>\bduplicate key value is \()[^\n]+?(?=\)\.?(?:\n|\Z| )|\n|\Z)",
            r"(\bduplicate key value is \()[^\n)]+"),
    Wording(" string '", r"(?P<keep>\bafter the character string ')[^\n]+?(?='\.?(?:\n|\Z)|\n|\Z)",
            r"(\bafter the character string ')[^\n']+"),
    Wording("alue: '", r"(?P<keep>\btruncated value: ')[^\n]+?(?='\.?(?:\n|\Z)|\n|\Z)",
            r"(\btruncated value: ')[^\n']+"),
    Wording("ncorrect syntax near '", r"(?P<keep>\bincorrect syntax near ')[^\n']+"),
    Wording(" string '", r"(?P<keep>\bcould not convert string ')[^\n']+"),
    # MongoDB, Redis
    Wording("dup key: {", r"(?P<keep>\bdup key: \{)[^\n]+?(?=\}|\n|\Z)", r"(\bdup key: \{)[^\n}]+"),
    Wording("with: '", r"(?P<keep>\bwith args beginning with: )[^\n]+"),
)
# fmt: on
EXPRESSIONS: Final = tuple((one.trigger, lazy_pattern(one.expression, re.IGNORECASE)) for one in WORDINGS)
