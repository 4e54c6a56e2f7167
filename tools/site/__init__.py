"""The documentation site: `python -m tools.site` builds docs/ into build/site, and fails on any warning."""
