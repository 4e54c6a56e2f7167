"""How telemetry leaves: encoded one by one, queued within bounds, sent with deadlines, every loss counted."""
