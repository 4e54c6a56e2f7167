"""The repository's address, which pyproject.toml states, and absolute links to its files."""

from __future__ import annotations

import posixpath
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

ROOT: Final = Path(__file__).resolve().parents[2]
BRANCH: Final = "main"
PICTURES: Final = (".png", ".svg")


@lru_cache(maxsize=1)
def url() -> str:
    """`Repository` of `[project.urls]`."""
    address: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    return address


def absolute(link: str, page: str) -> str | None:
    """The address of the file that a relative link of a page leads to, or None where there is no such file.

    Args:
        link: a link as it stands on the page, with its anchor.
        page: the page's path in the repository.
    """
    path, _, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    if target.startswith("..") or not (ROOT / target).exists():
        return None
    kind = "raw" if target.endswith(PICTURES) else "tree" if (ROOT / target).is_dir() else "blob"
    return f"{url()}/{kind}/{BRANCH}/{target}" + (f"#{anchor}" if anchor else "")
