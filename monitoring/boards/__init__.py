"""Grafana boards as code."""

import warnings

with warnings.catch_warnings():
    # The SDK recommends a format that Grafana's file provisioning does not read yet (docs/decisions/0032).
    warnings.filterwarnings("ignore", message="Prefer using dashboardv2", category=DeprecationWarning)
    import grafana_foundation_sdk.models.dashboard
    import grafana_foundation_sdk.models.dashboardv2beta1  # noqa: F401
