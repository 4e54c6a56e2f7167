"""The blog, observed: `uvicorn examples.blog.main:app`."""

import blogauto_otel

telemetry = blogauto_otel.configure()

from examples.blog.app import app  # noqa: E402 - after `configure()` or before it: the order does not matter

__all__ = ["app", "telemetry"]
