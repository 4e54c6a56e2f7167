"""Plugins for the tests of other projects; this folder alone is on their path."""
