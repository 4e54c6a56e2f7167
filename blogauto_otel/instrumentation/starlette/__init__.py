"""Starlette and FastAPI: patches, route templates, background tasks, their native telemetry."""
