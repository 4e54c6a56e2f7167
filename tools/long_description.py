"""The package's long description: README.md with links to the repository, since an index shows it without the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURES: Final = (".png", ".svg")


class LongDescription(MetadataHookInterface):  # type: ignore[misc,unused-ignore]  # hatchling may be absent
    """Sets `readme` when the package is built (`[tool.hatch.metadata.hooks.custom]` in pyproject.toml)."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with the table `[project]`."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = with_absolute_links(text, metadata["urls"]["Repository"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_absolute_links(text: str, repository: str) -> str:
    """The page with its relative links, and those of its pictures, leading to the repository."""

    def link(found: re.Match[str]) -> str:
        kind = "raw" if found[1].endswith(PICTURES) else "blob"
        return f"]({repository}/{kind}/main/{found[1]})"

    return re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", link, text)
