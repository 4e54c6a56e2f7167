"""The blog with telemetry: `uvicorn examples.blog.main:app`."""

import blogauto_otel

telemetry = blogauto_otel.configure()

from examples.blog.app import app  # noqa: E402 - before or after `configure()`: both work

__all__ = ["app", "telemetry"]
