"""Alerts: one module for each group; an alert's rule, its trigger and its unit tests stand together."""
