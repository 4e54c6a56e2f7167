"""Every generated file of this repository: those of its stack in each language, and the templates of the package.

In another language than English, boards and rules are the templates filled with the values of this repository's service.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Final

from blogauto_otel.cli import templates
from monitoring.generate import DASHBOARDS, RULES, RUNBOOKS, generated_files
from monitoring.languages import ENGLISH, TRANSLATED, panel_and_alert_texts, runbook_texts
from monitoring.package_files import FOLDER, NAMES, OWN_HEADER, package_files
from monitoring.parameters import BLOGAUTO, Service
from monitoring.rule_files import rule_files
from monitoring.rules.write import HEADER
from monitoring.runbooks import runbooks

_PAGE: Final = re.compile(
    r"(?<=/)(\w+|\$\{__value\.raw\})\.md(?=['\"])"
)  # where an alert or a board links to a runbook
_LINK: Final = re.compile(r"(?<=\]\()(\w+)\.md(?=\))")


def repository_files() -> Mapping[str, str]:
    """All of them, by path."""
    return {
        **generated_files(BLOGAUTO),
        **package_files(),
        **{path: text for language in TRANSLATED for path, text in translated_files(BLOGAUTO, language).items()},
    }


def files_in(language: str) -> Mapping[str, str]:
    """Those of the stack in one language."""
    return generated_files(BLOGAUTO) if language == ENGLISH else translated_files(BLOGAUTO, language)


def translated_files(service: Service, language: str) -> Mapping[str, str]:
    """Boards, rules and runbooks in a language other than English; a runbook stands beside the English one."""
    pages = runbooks(service, rule_files(service), runbook_texts(language))
    beside = {name.replace(".md", f".{language}.md"): _beside_english(page, language) for name, page in pages.items()}
    return {**_boards_and_rules(service, language), **{f"{RUNBOOKS}/{name}": page for name, page in beside.items()}}


def _beside_english(page: str, language: str) -> str:
    noted = page.replace(" and run it again", f" or monitoring/languages/{language}.json, and run it again", 1)
    return _LINK.sub(rf"\1.{language}.md", noted)


def _boards_and_rules(service: Service, language: str) -> Mapping[str, str]:
    texts, values, files = panel_and_alert_texts(language), _values(service), {}
    for path, template in package_files().items():
        folder, _, name = path.removeprefix(f"{FOLDER}/").partition("/")
        if folder == "boards":
            board = templates.board(template, values, texts)
            files[f"{DASHBOARDS}/{language}/{service.board(name)}"] = _linked(board, language)
        elif folder == "rules":
            rules = templates.rules(template, values, texts).replace(OWN_HEADER, HEADER)
            files[f"{RULES}/{language}/{name.replace('service', service.namespace)}"] = _linked(rules, language)
    return files


def _values(service: Service) -> templates.Values:
    names = {placeholder: getattr(service, field) for field, placeholder, _ in NAMES}
    return {**dataclasses.asdict(service.thresholds), **names}


def _linked(text: str, language: str) -> str:
    return _PAGE.sub(rf"\1.{language}.md", text)
