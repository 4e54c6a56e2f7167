"""What application code emits with: typed instruments, operations, bound context."""

from blogauto_otel.api import metrics
from blogauto_otel.api.ai import ai_call
from blogauto_otel.api.context import bind, bound, unbind
from blogauto_otel.api.instruments import attach, detach, start_at_zero
from blogauto_otel.api.operation import operation

__all__ = ["ai_call", "attach", "bind", "bound", "detach", "metrics", "operation", "start_at_zero", "unbind"]
