"""The exceptions of this package.

    BlogautoOtelError
    ├── ConfigurationError (ValueError)                a setting that cannot be used
    │   └── MissingDependencyError (ImportError)       a setting needs a package that is not installed
    ├── NotInstalledError (LookupError)               a plugin that no package registers
    ├── MisuseError (ValueError)                       a measurement that its declaration does not allow
    ├── DeadlineError (TimeoutError)                   no time left for an export request
    ├── MalformedError (ValueError)                    bytes that are not a Protocol Buffers message
    ├── DamagedError (ValueError)                      bytes that are not a spool file
    ├── NewerVersionError (ValueError)                 a spool file of a newer version of this package
    ├── UnsafeError (OSError)                          a spool directory that cannot be trusted
    ├── UsageError (ValueError)                        an argument of a command that cannot be used
    ├── FilterError (ValueError)                       a word of the inspector's query language
    ├── PlanError (LookupError)                        a statement that has no query plan
    ├── BadRequestError (ValueError)                   a body that is not an OTLP export request
    └── HopEndError (LookupError)                      a check of the doctor that has no answer to continue with

Only the first two are raised into the application, and only by `configure(strict=True)`. `MisuseError` is logged, and
raised where a test asks for it. The others are caught where the export, the spool, the commands or the inspector meet
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BadRequestError",
    "BlogautoOtelError",
    "ConfigurationError",
    "DamagedError",
    "DeadlineError",
    "FilterError",
    "HopEndError",
    "MalformedError",
    "MissingDependencyError",
    "MisuseError",
    "NewerVersionError",
    "NotInstalledError",
    "PlanError",
    "UnsafeError",
    "UsageError",
]


class BlogautoOtelError(Exception):
    """The root of every exception of this package."""


class ConfigurationError(BlogautoOtelError, ValueError):
    """A setting that cannot be used; the message has the variable, the value and what to do."""


class MissingDependencyError(ConfigurationError, ImportError):
    """A setting that needs a package which is not installed or does not import."""

    def __init__(self, wanted_by: str, package: str, *, extra: str | None = None) -> None:
        remedy = f'pip install "blogauto_otel[{extra}]"' if extra else f"pip install {package}"
        super().__init__(f"{wanted_by} needs the package {package}: {remedy}")


class NotInstalledError(BlogautoOtelError, LookupError):
    """A plugin whose name no installed package registers."""


class MisuseError(BlogautoOtelError, ValueError):
    """A measurement that its declaration does not allow: logged, and raised in tests only."""


class DeadlineError(BlogautoOtelError, TimeoutError):
    """The time for the whole export request is over."""


class MalformedError(BlogautoOtelError, ValueError):
    """Bytes that are not a Protocol Buffers message."""


class DamagedError(BlogautoOtelError, ValueError):
    """Bytes that are not a spool file, or are a part of one."""


class NewerVersionError(BlogautoOtelError, ValueError):
    """A spool file that a newer version of this package has written."""


class UnsafeError(BlogautoOtelError, OSError):
    """A spool directory that belongs to another user, or is not a directory: it is neither read nor written."""


class UsageError(BlogautoOtelError, ValueError):
    """An argument of a command that cannot be used; the message says what to write instead."""


class FilterError(BlogautoOtelError, ValueError):
    """A word of the inspector's query language that cannot be understood; the message names it and what is expected."""


class PlanError(BlogautoOtelError, LookupError):
    """A statement has no query plan; the message says why and what to do."""


class BadRequestError(BlogautoOtelError, ValueError):
    """A body that the inspector cannot read as an OTLP export request."""


class HopEndError(BlogautoOtelError, LookupError):
    """A check of `blogauto-otel doctor` that ends before its last question; `result` is what it found."""

    def __init__(self, result: Any) -> None:
        super().__init__(str(result.detail))
        self.result = result
