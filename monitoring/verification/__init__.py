"""Checks of the generated files by the real programs: unit tests, mutation tests, and every query on recorded traffic."""
