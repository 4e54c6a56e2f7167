"""What telemetry survives: one row of the fault matrix, one test (docs/reliability.md). `python -m tests.faults`."""
