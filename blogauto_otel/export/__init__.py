"""The way out of the process: queues, batches, retries, transports, one exporter per signal."""
