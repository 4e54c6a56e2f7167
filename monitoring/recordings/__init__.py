"""Recording rules: the figures that alerts and boards share, computed once by Prometheus."""
