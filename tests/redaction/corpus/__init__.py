"""A corpus of synthetic secrets and of clean texts, and the rates at which a redactor misses the one or cuts the other.

Written from the formats that the services document, not from the package's patterns. The repository holds only
descriptions; `samples.py` generates the secrets, so no scanner finds a key here.
"""
