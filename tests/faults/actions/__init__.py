"""What a row makes the application do: exhaust a resource, pass hostile values, record from many threads."""

from tests.faults.actions import concurrency, resources, values  # importing registers them
from tests.faults.actions.concurrency import record
from tests.faults.actions.registry import ACTIONS, arguments

__all__ = ["ACTIONS", "arguments", "concurrency", "record", "resources", "values"]
