"""OpenTelemetry for FastAPI and SQLAlchemy services: one call, three signals, and never the reason your application is down."""
