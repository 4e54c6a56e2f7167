"""Other systems we answer to or link with: Prometheus, Sentry."""
