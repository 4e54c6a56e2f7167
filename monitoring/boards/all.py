"""All boards of a service, by file name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitoring.boards.ai import ai
from monitoring.boards.api import api
from monitoring.boards.business import business
from monitoring.boards.context import BoardContext
from monitoring.boards.database import database
from monitoring.boards.dependencies import dependencies
from monitoring.boards.overview import overview
from monitoring.boards.security import security
from monitoring.boards.telemetry import telemetry
from monitoring.parameters import Service

BOARDS = {
    "overview": overview,
    "api": api,
    "security": security,
    "business": business,
    "ai": ai,
    "database": database,
    "dependencies": dependencies,
    "telemetry": telemetry,
}


def boards(service: Service) -> Mapping[str, dict[str, Any]]:
    """Every board as Grafana reads it."""
    context = BoardContext(service)
    return {service.board(name): build(context) for name, build in BOARDS.items()}
