"""The OpenTelemetry providers of the three signals; building one installs nothing."""
