"""The state that the page, the terminal and agents read: the store, the receiver and the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from blogauto_otel.inspector.command import Command
from blogauto_otel.inspector.explain import Explainer
from blogauto_otel.inspector.ingest import Ingest
from blogauto_otel.inspector.store import Store


@dataclass
class Inspector:
    """What the page shows."""

    store: Store
    ingest: Ingest
    explainer: Explainer = field(default_factory=Explainer)
    command: Command | None = None
    http_endpoint: str = ""
    grpc_endpoint: str | None = None
    is_stopping: bool = False

    def status(self) -> dict[str, Any]:
        """The state of the store, the receiver and the command."""
        with self.store.reading():
            return self._status(self.store.counts())

    def _status(self, counts: dict[str, int]) -> dict[str, Any]:
        return {
            "store": {
                "spans": counts["spans"], "logs": counts["logs"], "points": counts["points"],
                "bytes": self.store.used_bytes(), "limit_bytes": self.store.limits.max_bytes,
                "limit_spans": self.store.limits.max_spans, "evicted_spans": self.store.evicted_spans,
                "dropped": self.store.dropped, "started": round(self.store.started * 1000, 3), "keep": self.store.keeps,
            },
            "endpoints": {"http": self.http_endpoint, "grpc": self.grpc_endpoint},
            "command": self.command.as_dict() if self.command else None,
            "instrumentation": self._instrumentation(),
        }  # fmt: skip

    def _instrumentation(self) -> list[dict[str, Any]]:
        found = self.store.read("SELECT DISTINCT service, instance FROM resources ORDER BY service, instance")
        return [
            {"service": service, "instance": instance, "status": self.store.statuses.get((service, instance))}
            for service, instance in found
        ]
