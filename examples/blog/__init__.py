"""A small BlogAuto API: it researches keywords, writes articles with an AI provider and publishes them to WordPress.

`app` is the application, and it knows nothing of how it is observed beyond the few lines that name what matters to the
business. `main` is the same application with telemetry switched on.
"""
