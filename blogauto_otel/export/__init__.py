"""Export: queues, batches, retries, transports, and one exporter for each signal."""
