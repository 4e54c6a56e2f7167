"""Scripts that rows run as processes."""
