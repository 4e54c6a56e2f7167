"""How we know that the generated files are right: unit tests, mutants and queries on the real programs."""
