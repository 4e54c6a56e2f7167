"""Scrape `/metrics` continuously over one connection, and time each response."""

from __future__ import annotations

import http.client
import sys
import time

from testkit.results import print_result

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
until = time.monotonic() + float(sys.argv[2])
seconds = []
while time.monotonic() < until:
    began = time.perf_counter()
    connection.request("GET", "/metrics")
    connection.getresponse().read()
    seconds.append(time.perf_counter() - began)
print_result({"scrapes": len(seconds), "quickest": min(seconds), "slowest": max(seconds)})
