"""What application code emits with: typed instruments, operations, bound context."""

from blogauto_otel.signals.context import bind, bound, unbind

__all__ = ["bind", "bound", "unbind"]
