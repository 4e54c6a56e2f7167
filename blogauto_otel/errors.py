"""What `configure(strict=True)` may raise; nothing of ours is raised after it.

- `BlogautoOtelError`
  - `ConfigurationError`: a setting that cannot be used (also a `ValueError`)
    - `MissingDependencyError`: a setting that needs a package which is not there (also an `ImportError`)
"""

from __future__ import annotations

__all__ = ["BlogautoOtelError", "ConfigurationError", "MissingDependencyError"]


class BlogautoOtelError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigurationError(BlogautoOtelError, ValueError):
    """A setting that cannot be used: the message names the variable, the value and the way out."""


class MissingDependencyError(ConfigurationError, ImportError):
    """A setting that needs a package which is not installed or does not import."""

    def __init__(self, wanted_by: str, package: str, *, extra: str | None = None) -> None:
        remedy = f'pip install "blogauto_otel[{extra}]"' if extra else f"pip install {package}"
        super().__init__(f"{wanted_by} needs the package {package}: {remedy}")
