"""Libraries we patch or configure, and whether it worked: one table, one report each."""
