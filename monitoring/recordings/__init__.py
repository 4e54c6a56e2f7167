"""Recording rules: series that alerts and boards share, computed once by Prometheus."""
