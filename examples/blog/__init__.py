"""A small BlogAuto API: it researches keywords, generates articles with an AI provider and publishes them to WordPress.

`app` is the application; its only telemetry code is the few lines that record business metrics. `main` is the same
application with telemetry configured.
"""
