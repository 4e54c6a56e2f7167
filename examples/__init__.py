"""Runnable examples; the tests import them, so they cannot rot."""
