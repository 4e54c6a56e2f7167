"""The folder that `dev` puts on PYTHONPATH: its `sitecustomize` configures telemetry when Python starts."""
