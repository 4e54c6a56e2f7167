"""An arq worker."""

from __future__ import annotations

import os
from typing import ClassVar

from arq.connections import RedisSettings

from tests.instrumentation.workers import jobs


class Worker:
    functions: ClassVar = [jobs.work_later]
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS"])
