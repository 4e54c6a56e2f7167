"""Hooks of MkDocs: what makes pages written for the forge right in the site as well.

MkDocs calls the functions named `on_*`. The work on Markdown is in `markdown.py`, the pages that exist only in the site
are in `generated.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools.site import generated, markdown, repository  # noqa: E402

KOREAN: Final = ".ko.md"
CELL: Final = re.compile(r"<td.*?</td>", re.DOTALL)
CODE: Final = re.compile(r"(?<=<code>)[^<]{12,}(?=</code>)")
SEPARATOR: Final = re.compile(r"(?<=[_.,/={])(?=\w)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the repository's address from pyproject.toml."""
    config.repo_url = repository.url()
    config.repo_name = config.site_name
    config.edit_uri = ""
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that exist only in the site, and resolve the patterns of the navigation."""
    for path, content in generated.pages().items():
        files.append(File.generated(config, path, content=content))
    pages = sorted((file.src_uri for file in files.documentation_pages()), key=lambda path: path.removesuffix(".md"))
    named = set(_names(config.nav))
    config.nav = _resolved(config.nav, pages, named)
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Links and lists of the forge's Markdown as MkDocs reads them."""
    return markdown.for_site(text, f"docs/{page.file.src_uri}")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Names in tables break at their separators, so that columns stay narrow."""

    def broken(code: re.Match[str]) -> str:
        return SEPARATOR.sub("<wbr>", code[0])

    return CELL.sub(lambda cell: CODE.sub(broken, cell[0]), html)


def on_page_context(context: Any, page: Page, config: MkDocsConfig, nav: Any) -> Any:  # noqa: ARG001
    """The language of a page: for browsers and screen readers, and of the theme's own words."""
    config.theme["language"] = "ko" if page.file.src_uri.endswith(KOREAN) else "en"
    return context


def _names(nav: Any) -> Iterable[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for part in nav.values():
            yield from _names(part)
    else:
        for part in nav:
            yield from _names(part)


def _resolved(nav: Any, pages: list[str], named: set[str]) -> Any:
    """The navigation with pages for patterns, without sections that are empty."""
    if isinstance(nav, dict):
        found = {title: _resolved(part, pages, named) for title, part in nav.items()}
        return {title: part for title, part in found.items() if part}
    if isinstance(nav, list):
        resolved: list[Any] = []
        for entry in nav:
            part = _resolved(entry, pages, named)
            resolved += part if isinstance(part, list) else [part] if part else []
        return resolved
    if "*" in nav:
        return [page for page in pages if fnmatchcase(page, nav) and _same_language(page, nav) and page not in named]
    return nav


def _same_language(page: str, pattern: str) -> bool:
    return page.endswith(KOREAN) == pattern.endswith(KOREAN)
