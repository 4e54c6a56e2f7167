"""What application code emits with: typed instruments, operations, bound context."""
