"""Recording rules and alerts, as data, and the files that Prometheus reads."""
