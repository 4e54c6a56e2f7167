"""Scripts that rows run to their end."""
