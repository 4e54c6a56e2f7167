"""What application code emits with: typed instruments, operations, bound context."""

from blogauto_otel.signals import metrics
from blogauto_otel.signals.context import bind, bound, unbind
from blogauto_otel.signals.instruments import attach, detach, start_at_zero
from blogauto_otel.signals.operation import operation

__all__ = ["attach", "bind", "bound", "detach", "metrics", "operation", "start_at_zero", "unbind"]
