"""The spool: requests that wait on disk until the Collector takes them."""
