"""What it costs, as ratios to stock OpenTelemetry measured in the same run."""
