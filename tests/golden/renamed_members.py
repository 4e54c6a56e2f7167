"""The example with those private members of OpenTelemetry renamed that RENAMED_MEMBERS lists."""

from __future__ import annotations

import os

from tests.sdk.renamed_members import rename

for member in sorted(os.environ["RENAMED_MEMBERS"].split(), key=lambda member: "." not in member.partition(":")[2]):
    rename(member)  # those of classes first

from examples.blog.main import app, telemetry  # noqa: E402 - it imports what has been renamed

assert telemetry.status().problems, "the self-test of private members finds that they differ"

__all__ = ["app"]
