"""What tests, benchmarks, monitoring and examples share: an OTLP receiver, child processes, requests."""
