"""Markdown of the forge (CommonMark) as Python-Markdown reads it: links to files of the repository, and lists."""

from __future__ import annotations

import posixpath
import re
from typing import Final

from tools.site import repository

LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s]+)")
ITEM: Final = re.compile(r"(?:[-*+]|\d{1,3}[.)]) +(?=\S)")
FENCE: Final = re.compile(r"`{3,}|~{3,}")
IMAGE: Final = re.compile(r'<img src="([^"]+)" width="(\d+)" alt="([^"]*)">')
INDENT: Final = 4  # of Python-Markdown's lists; CommonMark indents by the width of the item's marker


def for_site(text: str, page: str) -> str:
    """The page's text, as the site needs it.

    Args:
        text: Markdown of the page.
        page: its path in the repository.
    """
    text = IMAGE.sub(r'![\3](\1){ width="\2" }', text)  # MkDocs checks and rewrites links of Markdown only
    return indented(LINK.sub(lambda found: _link(found[1], page), text))


def _link(link: str, page: str) -> str:
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link.partition("#")[0]))
    if not target.startswith("docs/"):
        return repository.absolute(link, page) or link  # MkDocs reports a link that leads nowhere
    index = posixpath.join(target, "README.md")
    if (repository.ROOT / index).exists():
        return posixpath.relpath(index, posixpath.dirname(page))
    return link


def indented(text: str) -> str:
    """The text with a blank line before each list, and the content of items four columns to the right of it."""
    lines: list[str] = []
    items: list[int] = []  # the column where the content of each open item begins
    fence = ""
    for line in text.splitlines():
        body = line.lstrip(" ")
        column = len(line) - len(body)
        in_list = bool(items)
        if not body:
            lines.append("")
            continue
        while items and column < items[-1] and not fence:
            items.pop()
        extra = max(column - (items[-1] if items else 0), 0)
        item = None if fence or extra >= INDENT else ITEM.match(body)
        if item and lines and lines[-1] and (not in_list or FENCE.match(lines[-1].strip())):
            lines.append("")
        lines.append(" " * (INDENT * len(items) + extra) + body)
        if item:
            items.append(column + item.end())
        fence = _fence(body, fence)
    return "\n".join(lines) + "\n"


def _fence(body: str, fence: str) -> str:
    """The fence of the code block that is open after this line, or nothing."""
    found = FENCE.match(body)
    if fence:
        return "" if found and found[0].startswith(fence) and not body[found.end() :].strip() else fence
    return found[0] if found else ""
