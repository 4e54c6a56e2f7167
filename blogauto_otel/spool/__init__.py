"""The spool: export requests that wait on disk until the Collector accepts them."""
