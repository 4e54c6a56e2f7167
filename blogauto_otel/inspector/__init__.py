"""The inspector: a local receiver of OTLP with a page for development, behind `blogauto-otel dev`.

It runs in a process of its own and never in the application's. Its requirements are the extra `dev`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

# Module and distribution of what the command cannot run without; `mcp` and `grpc` are optional.
REQUIRED: Final = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "opentelemetry.proto.collector": "opentelemetry-proto",
    "sqlparse": "sqlparse",
}


def missing_distributions() -> list[str]:
    """The distributions of the extra `dev` that are not installed."""
    return [distribution for module, distribution in REQUIRED.items() if not is_installed(module)]


def is_installed(module: str) -> bool:
    """Whether a module can be imported; a missing parent package is no error."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
