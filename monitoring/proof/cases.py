"""When each alert must fire and when it must stay quiet, as tables: the unit tests that promtool runs.

Times are counted from the first sample, values are in promtool's notation: `0+2x80` starts at 0 and grows by 2 eighty times.
Labels and texts are written out, not computed: what a person will read at night is what is asserted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

JOB: Final = 'job="blogauto-backend",instance="a"'
RUNBOOKS: Final = "http://localhost:3001/public/runbooks"
BOARDS: Final = "http://localhost:3001/d"


@dataclass(frozen=True)
class Told:
    """One firing alert: its labels besides `service` and those of every case of the alert, and what people read."""

    labels: Mapping[str, str]
    summary: str
    description: str


@dataclass(frozen=True)
class Case:
    """One unit test. `told` empty: the alert must not fire; `pending` says whether it must be waiting at that time."""

    name: str
    series: Mapping[str, str]
    at: str
    told: tuple[Told, ...] = ()
    pending: bool = False
    step: str = "15s"
    every: str = "30s"  # evaluation interval


@dataclass(frozen=True)
class Table:
    """The cases of one alert, and what all its firing instances carry."""

    alert: str
    severity: str
    category: str
    board: str
    cases: tuple[Case, ...]
    service: Literal["blogauto", "telemetry"] = "blogauto"
    labels: Mapping[str, str] = field(default_factory=dict)  # which rule, when several have the name


def requests(status: str, endpoint: str, values: str, *, method: str = "GET") -> dict[str, str]:
    """A request counter."""
    return {f'blogauto_api_requests_total{{{JOB},method="{method}",endpoint="{endpoint}",status="{status}"}}': values}


def alive(steps: int = 400) -> dict[str, str]:
    """A process that has long been known."""
    return {
        f"blogauto_keywords_analyzed_total{{{JOB}}}": f"0x{steps}",
        f'target_info{{{JOB},service_name="blogauto-backend"}}': f"1x{steps}",
    }


def duration(endpoint: str, fast: str, slow: str, *, faster: str = "", zero: str = ".0") -> dict[str, str]:
    """Counts of requests below two seconds, below three, and below one (as many as below two, when not given)."""
    where = f'{JOB},method="GET",endpoint="{endpoint}"'
    name = "blogauto_api_request_duration_seconds"
    return {
        f'{name}_bucket{{{where},le="1{zero}"}}': faster or fast,
        f'{name}_bucket{{{where},le="2{zero}"}}': fast,
        f'{name}_bucket{{{where},le="3{zero}"}}': slow,
        f'{name}_bucket{{{where},le="+Inf"}}': slow,
        f"{name}_count{{{where}}}": slow,
    }


BACKEND: Final = {"job": "blogauto-backend"}
IDLE: Final = {**alive(), **requests("200", "/a", "500x400"), **duration("/a", "500x400", "500x400")}


def _slow(share: float, rate: float = 3) -> dict[str, str]:
    """`rate` requests a step, of which `share` take 2 to 3 seconds."""
    return {
        **alive(),
        **requests("200", "/a", f"0+{rate}x400"),
        **duration("/a", f"0+{rate * (1 - share):g}x400", f"0+{rate:g}x400"),
    }


def _failing(share: float, rate: float = 10) -> dict[str, str]:
    return {
        **alive(),
        **requests("200", "/a", f"0+{rate * (1 - share):g}x400"),
        **requests("500", "/a", f"0+{rate * share:g}x400"),
    }


RESPONSE_TIME = Table(
    "HighApiResponseTime",
    "warning",
    "latency",
    "blogauto-api?var-endpoint=%2Fa",
    cases=(
        Case(
            "six of a hundred take longer than two seconds",
            _slow(0.06),
            "20m",
            (
                Told(
                    {**BACKEND, "endpoint": "/a"},
                    "/a is slow.",
                    "One request in twenty to /a takes longer than 2.167s; the limit is 2 s.",
                ),
            ),
        ),
        Case("four of a hundred are few", _slow(0.04), "20m"),
        Case(
            "all take nearly two seconds", {**_slow(0), **duration("/a", "0+3x400", "0+3x400", faster="0x400")}, "20m"
        ),
        Case(
            "twelve requests are enough to tell",
            _slow(1, rate=0.6),
            "20m",
            (
                Told(
                    {**BACKEND, "endpoint": "/a"},
                    "/a is slow.",
                    "One request in twenty to /a takes longer than 2.95s; the limit is 2 s.",
                ),
            ),
        ),
        Case("pending before five minutes", _slow(0.06), "4m", pending=True),
        Case("one slow request to a rare endpoint is no news", _slow(1, rate=0.4), "20m"),
        Case(
            "buckets as OTLP spells them",
            {
                **alive(),
                **requests("200", "/a", "0+3x400"),
                **duration("/a", "0+2.7x400", "0+3x400", zero=""),
            },
            "20m",
            (
                Told(
                    {**BACKEND, "endpoint": "/a"},
                    "/a is slow.",
                    "One request in twenty to /a takes longer than 2.5s; the limit is 2 s.",
                ),
            ),
        ),
        Case("no traffic", IDLE, "20m"),
        Case("no data", {}, "20m"),
    ),
)

ERROR_RATE = Table(
    "HighApiErrorRate",
    "critical",
    "errors",
    "blogauto-api",
    cases=(
        Case(
            "six of a hundred fail",
            _failing(0.06),
            "20m",
            (
                Told(
                    BACKEND,
                    "6% of the requests to blogauto-backend fail.",
                    "6% of the requests were answered with a 5xx status in the last 5 minutes; the limit is 5 %.",
                ),
            ),
        ),
        Case("exactly the limit is not above it", _failing(0.0499), "20m"),
        Case("pending before five minutes", _failing(0.06), "4m", pending=True),
        Case(
            "errors spread over endpoints and codes add up",
            {
                **alive(),
                **requests("200", "/a", "0+18x400"),
                **requests("500", "/a", "0+0.5x400"),
                **requests("502", "/b", "0+0.5x400"),
                **requests("503", "/c", "0+0.5x400"),
                **requests("504", "/d", "0+0.5x400"),
            },
            "20m",
            (
                Told(
                    BACKEND,
                    "10% of the requests to blogauto-backend fail.",
                    "10% of the requests were answered with a 5xx status in the last 5 minutes; the limit is 5 %.",
                ),
            ),
        ),
        Case(
            "twelve requests are enough to tell",
            _failing(0.5, rate=0.6),
            "20m",
            (
                Told(
                    BACKEND,
                    "50% of the requests to blogauto-backend fail.",
                    "50% of the requests were answered with a 5xx status in the last 5 minutes; the limit is 5 %.",
                ),
            ),
        ),
        Case("a client's mistakes are no errors", {**alive(), **requests("404", "/a", "0+10x400")}, "20m"),
        Case("two requests a minute say nothing", _failing(1, rate=0.4), "20m"),
        Case("no traffic", IDLE, "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _rejected(rate: float) -> dict[str, str]:
    half = rate * 15 / 2
    return {
        f'blogauto_rate_limit_rejected_total{{{JOB},endpoint="{endpoint}"}}': f"0+{half:g}x400"
        for endpoint in ("/a", "/b")
    }


REJECTIONS = Table(
    "HighRateLimitRejections",
    "warning",
    "security",
    "blogauto-security",
    cases=(
        Case(
            "eleven a second over two endpoints",
            _rejected(11),
            "20m",
            (
                Told(
                    BACKEND,
                    "The rate limit of blogauto-backend refuses many requests.",
                    "11 requests per second were refused with 429 in the last 5 minutes; the limit is 10.",
                ),
            ),
        ),
        Case("nine and a half", _rejected(9.5), "20m"),
        Case("pending before five minutes", _rejected(11), "8m", pending=True),
        Case("nobody is refused", _rejected(0), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _logins(failed: float, tried: float) -> dict[str, str]:
    """Counts in five minutes."""
    return {
        f'blogauto_security_events_total{{{JOB},type="auth_failure"}}': f"0+{failed / 20:g}x400",
        **requests("401", "/api/auth/login", f"0+{failed / 20:g}x400", method="POST"),
        **requests("200", "/api/auth/login", f"0+{(tried - failed) / 20:g}x400", method="POST"),
    }


AUTH_FAILURES = Table(
    "AuthFailureSpike",
    "warning",
    "security",
    "blogauto-security",
    cases=(
        Case(
            "forty of sixty logins fail",
            _logins(40, 60),
            "20m",
            (
                Told(
                    BACKEND,
                    "Many logins to blogauto-backend fail.",
                    "About 40 logins failed in 5 minutes, and they were more than 50 % of those tried:"
                    " somebody guesses passwords, or logging in is broken.",
                ),
            ),
        ),
        Case("twenty-eight failures are few", _logins(28, 40), "20m"),
        Case("forty failures among a hundred logins are usual", _logins(40, 100), "20m"),
        Case("pending before two minutes", {**alive(), **_logins(600, 650)}, "1m", pending=True),
        Case("nobody logs in", _logins(0, 0), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _secure(failures: str, status: str = "502") -> dict[str, str]:
    return {**alive(), **requests(status, "/api/secure/api-keys", failures, method="POST")}


KEY_STORAGE = Table(
    "ApiKeyStorageFailure",
    "critical",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "the counter is born with six failures",
            _secure("_x40 6x400"),
            "12m",
            (
                Told(
                    BACKEND,
                    "API keys cannot be stored in blogauto-backend.",
                    "6 requests to the secure endpoints failed with a 5xx status in 5 minutes; the limit is 5.",
                ),
            ),
        ),
        Case(
            "six more within five minutes",
            _secure("3x40 3+2x3 9x400"),
            "13m",
            (
                Told(
                    BACKEND,
                    "API keys cannot be stored in blogauto-backend.",
                    "6 requests to the secure endpoints failed with a 5xx status in 5 minutes; the limit is 5.",
                ),
            ),
        ),
        Case("five are not more than five", _secure("_x40 5x400"), "12m"),
        Case("five more, which increase() alone calls 5.26", _secure("3x40 8x400"), "13m"),
        Case("pending before one minute", _secure("_x40 6x400"), "10m30s", pending=True),
        Case("a wrong key is the user's failure", _secure("_x40 60x400", status="400"), "12m"),
        Case(
            "an old process that Prometheus sees for the first time",
            {
                f"blogauto_keywords_analyzed_total{{{JOB}}}": "_x40 0x400",
                **requests("502", "/api/secure/api-keys", "_x40 600x400", method="POST"),
            },
            "12m",
        ),
        Case("no traffic", _secure("600x400"), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _generated(failed: str, succeeded: str) -> dict[str, str]:
    where = "/api/content/generate"
    return {
        **alive(),
        **requests("502", where, failed, method="POST"),
        **requests("200", where, succeeded, method="POST"),
    }


CONTENT = Table(
    "ContentGenerationFailure",
    "critical",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "one of eight fails",
            _generated("0+0.25x400", "0+1.75x400"),
            "30m",
            (
                Told(
                    BACKEND,
                    "12.5% of the articles cannot be written.",
                    "12.5% of the content generation requests failed with a 5xx status in 10 minutes; the limit is 10 %.",
                ),
            ),
        ),
        Case(
            "both counters are born within the window",
            _generated("_x80 2x400", "_x80 4x400"),
            "24m",
            (
                Told(
                    BACKEND,
                    "33.33% of the articles cannot be written.",
                    "33.33% of the content generation requests failed with a 5xx status in 10 minutes; the limit is 10 %.",
                ),
            ),
        ),
        Case("one of eleven is usual", _generated("0+0.2x400", "0+2x400"), "30m"),
        Case("pending before two minutes", _generated("_x80 2x400", "_x80 4x400"), "21m", pending=True),
        Case(
            "an old process that Prometheus sees for the first time",
            {
                f"blogauto_keywords_analyzed_total{{{JOB}}}": "_x80 0x400",
                **requests("502", "/api/content/generate", "_x80 600x400", method="POST"),
                **requests("200", "/api/content/generate", "_x80 600+1x400", method="POST"),
            },
            "24m",
        ),
        Case(
            "an old process, seen for the first time, fails now",
            {
                f"blogauto_keywords_analyzed_total{{{JOB}}}": "_x80 0x400",
                **requests("502", "/api/content/generate", "_x80 600+1x400", method="POST"),
                **requests("200", "/api/content/generate", "_x80 600x400", method="POST"),
            },
            "25m",
            (
                Told(
                    BACKEND,
                    "100% of the articles cannot be written.",
                    "100% of the content generation requests failed with a 5xx status in 10 minutes; the limit is 10 %.",
                ),
            ),
        ),
        Case("three requests say nothing", _generated("_x80 3x400", "_x80 0x400"), "24m"),
        Case("no traffic", _generated("60x400", "60x400"), "30m"),
        Case("no data", {}, "30m"),
    ),
)


def _published(failed: str, succeeded: str) -> dict[str, str]:
    name = "blogauto_wordpress_posts_published_total"
    return {f'{name}{{{JOB},status="failed"}}': failed, f'{name}{{{JOB},status="success"}}': succeeded}


PUBLISH = Table(
    "WordPressPublishFailure",
    "critical",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "four posts fail in five minutes",
            _published("0x40 0+1x4 4x400", "0+1x400"),
            "13m",
            (
                Told(
                    BACKEND,
                    "Posts do not reach WordPress.",
                    "4 posts could not be published in 5 minutes; the limit is 3.",
                ),
            ),
        ),
        Case("three, which increase() alone calls 3.16", _published("0x40 0+1x3 3x400", "0+1x400"), "13m"),
        Case("pending before one minute", _published("0x40 4x400", "0+1x400"), "10m30s", pending=True),
        Case("posts arrive", _published("0x400", "0+1x400"), "20m"),
        Case("no traffic", _published("9x400", "9x400"), "20m"),
        Case("no data", {}, "20m"),
    ),
)

PUBLISHING_STOPPED = Table(
    "WordPressPublishingStopped",
    "warning",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "three failed posts in an hour and none that arrived",
            _published("0x60 1x60 2x60 3x400", "7x600"),
            "65m",
            (
                Told(
                    BACKEND,
                    "Nothing was published for an hour.",
                    "3 posts were tried in the last hour, and none reached WordPress.",
                ),
            ),
        ),
        Case("two failed posts may be chance", _published("0x60 1x60 2x400", "7x600"), "65m"),
        Case("one post arrived", _published("0x60 1x60 2x60 3x400", "7x100 8x600"), "65m"),
        Case("pending before two minutes", _published("0x60 1x60 2x60 3x400", "7x600"), "46m30s", pending=True),
        Case("nobody publishes", _published("3x600", "7x600"), "65m"),
        Case("no data", {}, "65m"),
    ),
)


def _gauge(name: str, *values: str) -> dict[str, str]:
    """One series a worker."""
    return {
        f'blogauto_{name}{{job="blogauto-backend",instance="{chr(97 + index)}"}}': value
        for index, value in enumerate(values)
    }


CPU = Table(
    "HighCpuUsage",
    "warning",
    "saturation",
    "blogauto-overview",
    cases=(
        Case(
            "the busier of two hosts",
            _gauge("cpu_usage_percent", "82x400", "5x400"),
            "20m",
            (
                Told(
                    BACKEND,
                    "blogauto-backend is short of CPU.",
                    "82 % of the CPU was in use over 5 minutes; the limit is 80 %.",
                ),
            ),
        ),
        Case(
            "one idle moment does not reset the wait",
            _gauge("cpu_usage_percent", "90x30 0 90x400"),
            "11m",
            (
                Told(
                    BACKEND,
                    "blogauto-backend is short of CPU.",
                    "86 % of the CPU was in use over 5 minutes; the limit is 80 %.",
                ),
            ),
        ),
        Case("just below", _gauge("cpu_usage_percent", "79x400"), "20m"),
        Case("pending before five minutes", _gauge("cpu_usage_percent", "82x400"), "4m", pending=True),
        Case("no data", {}, "20m"),
    ),
)


def _memory(available: float, total: float) -> dict[str, str]:
    gib = 1024**3
    return {
        **_gauge("memory_available_bytes", f"{available * gib:.0f}x400"),
        **_gauge("memory_total_bytes", f"{total * gib:.0f}x400"),
    }


MEMORY = Table(
    "LowMemoryAvailable",
    "critical",
    "saturation",
    "blogauto-overview",
    cases=(
        Case(
            "0.48 of 4 GiB",
            _memory(0.48, 4),
            "20m",
            (
                Told(
                    BACKEND,
                    "blogauto-backend is short of memory.",
                    "Only 12% of the memory was available over 5 minutes; the limit is 12.5 %.",
                ),
            ),
        ),
        Case("0.52 of 4 GiB", _memory(0.52, 4), "20m"),
        Case("60 of 64 GiB in use are no shortage when 10 are available", _memory(10, 64), "20m"),
        Case("pending before five minutes", _memory(0.48, 4), "4m", pending=True),
        Case("no data", {}, "20m"),
    ),
)

DISK = Table(
    "LowDiskSpace",
    "warning",
    "saturation",
    "blogauto-overview",
    cases=(
        Case(
            "86 % in use",
            _gauge("disk_usage_percent", "86x400", "20x400"),
            "20m",
            (
                Told(
                    BACKEND,
                    "The disk of blogauto-backend is filling up.",
                    "86 % of the root filesystem is in use; the limit is 85 %.",
                ),
            ),
        ),
        Case("84 % in use", _gauge("disk_usage_percent", "84x400"), "20m"),
        Case("pending before five minutes", _gauge("disk_usage_percent", "86x400"), "4m", pending=True),
        Case("no data", {}, "20m"),
    ),
)


def _started(*values: str) -> dict[str, str]:
    """When each of the workers started."""
    name = "otel_process_start_time_seconds"
    return _gauge(name, *values)


RESTARTING = Table(
    "BackendRestarting",
    "warning",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "three restarts in a quarter of an hour",
            _started("100x20 400x16 650x16 900x400"),
            "15m",
            (
                Told(
                    BACKEND,
                    "blogauto-backend restarts again and again.",
                    "It started 3 times in 15 minutes; more than 2 are no deployment.",
                ),
            ),
        ),
        Case(
            "one of two workers restarts, the other runs",
            _started("100x400", "100x20 400x16 650x16 900x400"),
            "15m",
            (
                Told(
                    BACKEND,
                    "blogauto-backend restarts again and again.",
                    "It started 3 times in 15 minutes; more than 2 are no deployment.",
                ),
            ),
        ),
        Case("two restarts are a deployment and its repair", _started("100x20 400x16 650x400"), "15m"),
        Case(
            "four workers that start together count once",
            _started("100x20 400x400", "100x20 401x400", "100x20 401x400"),
            "15m",
        ),
        Case("it runs", _started("100x400"), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _up(job: str, values: str, name: str = "up") -> dict[str, str]:
    return {f'{name}{{job="{job}",instance="h:1"}}': values}


def _down(job: str, summary: str, description: str) -> Told:
    return Told({"job": job, "instance": "h:1"}, summary, description)


DOWN = Table(
    "BackendServiceDown",
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "it does not answer for a minute",
            _up("blogauto-backend", "1x10 0x400"),
            "5m",
            (
                _down(
                    "blogauto-backend",
                    "blogauto-backend does not answer.",
                    "Prometheus could not read /metrics of blogauto-backend at h:1 for a minute.",
                ),
            ),
        ),
        Case(
            "nobody even asks it",
            {},
            "5m",
            (
                Told(
                    BACKEND,
                    "blogauto-backend does not answer.",
                    "Prometheus could not read /metrics of blogauto-backend for a minute.",
                ),
            ),
        ),
        Case("it answers", _up("blogauto-backend", "1x400"), "5m"),
        Case("pending before one minute", _up("blogauto-backend", "1x10 0x400"), "3m", pending=True),
        Case(
            "another service is down",
            {**_up("blogauto-backend", "1x400"), **_up("other", "0x400")},
            "5m",
        ),
    ),
)

DATABASE = Table(
    "DatabaseConnectionDown",
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "the database is away, its exporter answers",
            {**_up("postgres", "1x400"), **_up("postgres", "1x10 0x400", "pg_up")},
            "5m",
            (
                _down(
                    "postgres",
                    "PostgreSQL does not answer.",
                    "The exporter at h:1, or the database behind it, did not answer for a minute.",
                ),
            ),
        ),
        Case(
            "the exporter is away",
            _up("postgres", "1x10 0x400"),
            "5m",
            (
                _down(
                    "postgres",
                    "PostgreSQL does not answer.",
                    "The exporter at h:1, or the database behind it, did not answer for a minute.",
                ),
            ),
        ),
        Case("both answer", {**_up("postgres", "1x400"), **_up("postgres", "1x400", "pg_up")}, "5m"),
        Case("pending before one minute", _up("postgres", "1x10 0x400"), "3m", pending=True),
        Case("not part of the installation", {}, "5m"),
    ),
)

REDIS = Table(
    "RedisConnectionDown",
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "Redis is away, its exporter answers",
            {**_up("redis", "1x400"), **_up("redis", "1x10 0x400", "redis_up")},
            "5m",
            (
                _down(
                    "redis",
                    "Redis does not answer.",
                    "The exporter at h:1, or the Redis behind it, did not answer for a minute.",
                ),
            ),
        ),
        Case(
            "the exporter is away",
            _up("redis", "1x10 0x400"),
            "5m",
            (
                _down(
                    "redis",
                    "Redis does not answer.",
                    "The exporter at h:1, or the Redis behind it, did not answer for a minute.",
                ),
            ),
        ),
        Case("both answer", {**_up("redis", "1x400"), **_up("redis", "1x400", "redis_up")}, "5m"),
        Case("pending before one minute", _up("redis", "1x10 0x400"), "3m", pending=True),
        Case("not part of the installation", {}, "5m"),
    ),
)

FRONTEND = Table(
    "FrontendServiceDown",
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "it does not answer for a minute",
            _up("blogauto-frontend", "1x10 0x400"),
            "5m",
            (
                _down(
                    "blogauto-frontend",
                    "blogauto-frontend does not answer.",
                    "Prometheus could not reach blogauto-frontend at h:1 for a minute.",
                ),
            ),
        ),
        Case("it answers", _up("blogauto-frontend", "1x400"), "5m"),
        Case("pending before one minute", _up("blogauto-frontend", "1x10 0x400"), "3m", pending=True),
        Case("not part of the installation", {}, "5m"),
    ),
)

TELEMETRY_ABSENT = Table(
    "BackendTelemetryAbsent",
    "warning",
    "telemetry",
    "blogauto-telemetry",
    cases=(
        Case(
            "nothing arrives",
            {f"target_info{{{JOB}}}": "1x20 stale"},
            "15m",
            (
                Told(
                    BACKEND,
                    "No telemetry arrives from blogauto-backend.",
                    "No metrics of blogauto-backend came through the Collector for 5 minutes: the other alerts about it are blind.",
                ),
            ),
        ),
        Case("pending before five minutes", {f"target_info{{{JOB}}}": "1x20 stale"}, "9m", pending=True),
        Case("telemetry arrives", alive(), "20m"),
        Case("telemetry of another service", {'target_info{job="other",instance="a"}': "1x400"}, "4m", pending=True),
    ),
)


# --- objectives --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Burn:
    """What the cases of one burn rate need; times are in minutes, for one sample a `step` and one evaluation an `every`."""

    severity: str
    long: str
    short: str
    ratio: float
    times: str
    exhausted: str
    long_minutes: int
    short_minutes: int
    wait: int
    step: int
    every: float  # minutes
    recorded: bool = False

    @property
    def late(self) -> int:
        """The long window is full and the wait is over."""
        return self.long_minutes + self.wait + 15

    @property
    def recent(self) -> int:
        """How long something has been going wrong that has only begun: long enough for the short window and the wait."""
        return self.short_minutes + 3 * self.wait + 8

    @property
    def begun(self) -> float:
        """The share of bad requests since then that gives the long window three quarters of its limit."""
        return 0.75 * self.ratio * self.long_minutes / self.recent

    def load(self, *phases: tuple[int, float], rate: float, latency: bool) -> dict[str, str]:
        """`rate` requests a minute; each phase has minutes and the share of bad requests."""
        if self.recorded:
            return self._recorded(phases, rate, latency=latency)
        bad, good, total = (
            _ramp([(minutes // self.step, rate * self.step * part(share)) for minutes, share in phases])
            for part in (lambda share: share, lambda share: 1 - share, lambda _share: 1)
        )
        if latency:
            return _crawling(good, total)
        return {**requests("200", "/a", good), **requests("503", "/b", bad)}

    def _recorded(self, phases: Sequence[tuple[int, float]], rate: float, *, latency: bool) -> dict[str, str]:
        """Days of raw counters take long: these begin with what was recorded of them, which the shortest windows prove."""
        levels = [(minutes // self.step, share * rate / 60) for minutes, share in phases]
        bad = "slow_requests" if latency else "errors"
        return {
            f"job:blogauto_api_requests:rate5m{{{_OF_JOB}}}": " ".join(
                f"{rate / 60:g}x{steps - 1}" for steps, _ in levels
            ),
            f"job:blogauto_api_{bad}:rate5m{{{_OF_JOB}}}": " ".join(
                f"{level:g}x{steps - 1}" for steps, level in levels
            ),
        }

    def requests_for(self, counted: float) -> float:
        """The rate, per minute, at which the guard on traffic counts so many requests in the long window."""
        evaluations = self.long_minutes / self.every
        return counted / (evaluations * 30) * 60


_OF_JOB: Final = 'job="blogauto-backend"'


def _ramp(phases: list[tuple[int, float]]) -> str:
    """Phases of so many steps that grow by so much, in promtool's notation."""
    parts, value = [], 0.0
    for steps, growth in phases:
        parts.append(f"{value:.6f}+{growth:.6f}x{steps}")
        value += growth * (steps + 1)
    return " ".join(parts)


def _crawling(fast: str, total: str) -> dict[str, str]:
    """Two endpoints, one scraped and one pushed, as their buckets tell."""
    name = "blogauto_api_request_duration_seconds"
    return {
        **requests("200", "/a", total),
        f'{name}_bucket{{{JOB},method="GET",endpoint="/a",le="2"}}': fast,
        f'{name}_count{{{JOB},method="GET",endpoint="/a"}}': total,
        f'{name}_bucket{{{JOB},method="GET",endpoint="/b",le="2.0"}}': fast,
        f'{name}_count{{{JOB},method="GET",endpoint="/b"}}': total,
    }


_BURNS: Final = (
    _Burn("critical", "1h", "5m", 0.144, "14.4", "2 days", 60, 5, 2, 1, 0.5),
    _Burn("critical", "6h", "30m", 0.06, "6", "5 days", 360, 30, 15, 5, 5, recorded=True),
    _Burn("warning", "1d", "2h", 0.03, "3", "10 days", 1440, 120, 60, 10, 10, recorded=True),
    _Burn("warning", "3d", "6h", 0.01, "1", "30 days", 4320, 360, 180, 20, 20, recorded=True),
)

_LONG_WORDS: Final = {"1h": "hour", "6h": "6 hours", "1d": "day", "3d": "3 days"}


def _burn_table(alert: str, kind: str, burn: _Burn) -> Table:
    latency = kind == "latency"
    # Raw latency comes from two endpoints, with half of their traffic in the request counter.
    times = 0.5 if latency and not burn.recorded else 1.0
    late = burn.late
    over = burn.ratio * 1.2

    def case(
        name: str,
        *phases: tuple[int, float],
        at: int = late,
        rate: float = 600,
        told: bool = False,
        pending: bool = False,
    ) -> Case:
        shares = tuple((minutes, share * times) for minutes, share in phases)
        series = burn.load(*shares, rate=rate, latency=latency)
        return Case(name, series, f"{at}m", (_burning(burn, kind, over),) if told else (), pending)

    always = late + 10
    after, before = burn.short_minutes + 10, burn.recent
    cases = (
        case(f"{burn.times} times the budget for {burn.long}", (always, over), told=True),
        case("just below", (always, burn.ratio * 0.9)),
        case(
            "pending before the wait is over",
            (always, over),
            at=max(burn.wait - max(1, round(burn.every)), 2),
            rate=60_000,
            pending=True,
        ),
        case("just enough requests to tell", (always, over), rate=burn.requests_for(130), told=True),
        case("too few requests to tell", (always, over), rate=burn.requests_for(75)),
        case("it is over: the short window is good enough", (late - after, 0.4), (after + 10, burn.ratio * 0.75)),
        case("it has just begun: the long window is good enough", (late - before, 0), (before + 10, burn.begun)),
        case("no traffic", (always, 0), rate=0),
        Case("no data", {}, f"{late}m"),
    )
    return Table(
        alert,
        burn.severity,
        "latency" if latency else "errors",
        "blogauto-api",
        cases=tuple(replace(one, step=f"{burn.step}m", every=f"{burn.every * 60:g}s") for one in cases),
        labels={"long": burn.long, "short": burn.short},
    )


def _burning(burn: _Burn, kind: str, share: float) -> Told:
    what = "took longer than 2 s" if kind == "latency" else "were answered with a 5xx status"
    return Told(
        {**BACKEND, "long": burn.long, "short": burn.short},
        f"blogauto-backend spends its {kind} budget at more than {burn.times} times the rate it can afford.",
        f"{share * 100:.4g}% of the requests in the last {_LONG_WORDS[burn.long]} {what};"
        f" the objective allows 1 % over 30 days. At this rate the budget is gone in {burn.exhausted}.",
    )


BURN_TABLES: Final = tuple(
    _burn_table(alert, kind, burn)
    for alert, kind in (("ApiErrorBudgetBurn", "error"), ("ApiLatencyBudgetBurn", "latency"))
    for burn in _BURNS
)


# --- the monitoring itself ---------------------------------------------------------------------------------------------

COLLECTOR: Final = 'job="otel-collector",instance="c:8888"'


def _collector(name: str, values: str, extra: str) -> dict[str, str]:
    return {
        f"otelcol_process_uptime_seconds_total{{{COLLECTOR}}}": "0+15x400",
        f"otelcol_{name}{{{COLLECTOR},{extra}}}": values,
    }


SIGNALS: Final = ("spans", "metric_points", "log_records")
CAUSES: Final = {"send_failed": "refused by the backend", "enqueue_failed": "queue full"}


def _each_refused(values: str) -> dict[str, str]:
    series: dict[str, str] = {}
    for signal in SIGNALS:
        series |= _collector(f"receiver_refused_{signal}_total", values, 'receiver="otlp",transport="http"')
    return series


def _each_lost(values: str) -> dict[str, str]:
    series: dict[str, str] = {}
    for counter in CAUSES:
        for signal in SIGNALS:
            series |= _collector(f"exporter_{counter}_{signal}_total", values, 'exporter="otlp_grpc/jaeger"')
    return series


COLLECTOR_DOWN = Table(
    "OtelCollectorDown",
    "critical",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "it does not answer for two minutes",
            _up("otel-collector", "1x10 0x400"),
            "6m",
            (
                _down(
                    "otel-collector",
                    "The Collector does not answer.",
                    "Prometheus could not read the Collector's own metrics for 2 minutes. Applications keep what they can on disk.",
                ),
            ),
        ),
        Case(
            "nobody even asks it",
            {},
            "6m",
            (
                Told(
                    {"job": "otel-collector"},
                    "The Collector does not answer.",
                    "Prometheus could not read the Collector's own metrics for 2 minutes. Applications keep what they can on disk.",
                ),
            ),
        ),
        Case("it answers", _up("otel-collector", "1x400"), "6m"),
        Case("pending before two minutes", _up("otel-collector", "1x10 0x400"), "4m", pending=True),
    ),
)

REFUSING = Table(
    "OtelCollectorRefusing",
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "spans are refused",
            _collector("receiver_refused_spans_total", "0x40 0+10x4 40x400", 'receiver="otlp",transport="http"'),
            "14m",
            (
                Told(
                    {"job": "otel-collector", "signal": "spans"},
                    "The Collector refuses spans.",
                    "40 spans were refused in 5 minutes. Senders keep and repeat them, as long as they have room.",
                ),
            ),
        ),
        Case(
            "the first refusals, of counters that did not exist",
            _each_refused("_x40 7x400"),
            "14m",
            tuple(
                Told(
                    {"job": "otel-collector", "signal": signal},
                    f"The Collector refuses {signal}.",
                    f"7 {signal} were refused in 5 minutes. Senders keep and repeat them, as long as they have room.",
                )
                for signal in SIGNALS
            ),
        ),
        Case(
            "an old Collector that Prometheus sees for the first time",
            {
                **_each_refused("_x40 500x400"),
                f"otelcol_process_uptime_seconds_total{{{COLLECTOR}}}": "_x40 90000+15x400",
            },
            "14m",
        ),
        Case(
            "pending before two minutes",
            _collector("receiver_refused_metric_points_total", "_x40 7x400", 'receiver="otlp",transport="http"'),
            "11m",
            pending=True,
        ),
        Case(
            "nothing is refused",
            _collector("receiver_refused_spans_total", "40x400", 'receiver="otlp",transport="http"'),
            "14m",
        ),
        Case("no data", {}, "14m"),
    ),
)

EXPORT_FAILING = Table(
    "OtelCollectorExportFailing",
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "the first losses, of counters that did not exist",
            _each_lost("_x40 500x400"),
            "13m",
            tuple(
                Told(
                    {"job": "otel-collector", "signal": signal, "exporter": "otlp_grpc/jaeger", "cause": cause},
                    f"The Collector loses {signal} on the way to otlp_grpc/jaeger.",
                    f"500 {signal} were lost in 5 minutes: {cause}.",
                )
                for cause in CAUSES.values()
                for signal in SIGNALS
            ),
        ),
        Case(
            "pending before one minute",
            _collector("exporter_send_failed_metric_points_total", "_x40 5x400", 'exporter="x"'),
            "10m30s",
            pending=True,
        ),
        Case(
            "nothing was lost lately", _collector("exporter_send_failed_spans_total", "500x400", 'exporter="x"'), "13m"
        ),
        Case(
            "an old Collector that Prometheus sees for the first time",
            {
                **_each_lost("_x40 500x400"),
                f"otelcol_process_uptime_seconds_total{{{COLLECTOR}}}": "_x40 90000+15x400",
            },
            "13m",
        ),
        Case("no data", {}, "13m"),
    ),
)


def _queue(size: str, sent: str | None) -> dict[str, str]:
    where = f'{COLLECTOR},exporter="otlp_grpc/jaeger"'
    queue = {f'otelcol_exporter_queue_size{{{where},data_type="traces"}}': size}
    return queue if sent is None else {**queue, f"otelcol_exporter_sent_spans_total{{{where}}}": sent}


BACKEND_AWAY = Table(
    "OtelCollectorBackendAway",
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "it took nothing for a quarter of an hour",
            _queue("0x20 0+50x400", "0+50x20 1000x400"),
            "21m",
            (
                Told(
                    {"job": "otel-collector", "exporter": "otlp_grpc/jaeger"},
                    "otlp_grpc/jaeger takes nothing.",
                    "3150 items wait for otlp_grpc/jaeger, and none was taken for 5 minutes. Nothing is lost yet.",
                ),
            ),
        ),
        Case(
            "it was never there",
            _queue("0+50x400", None),
            "20m",
            (
                Told(
                    {"job": "otel-collector", "exporter": "otlp_grpc/jaeger"},
                    "otlp_grpc/jaeger takes nothing.",
                    "4000 items wait for otlp_grpc/jaeger, and none was taken for 5 minutes. Nothing is lost yet.",
                ),
            ),
        ),
        Case("items wait and flow", _queue("50x400", "0+1x400"), "21m"),
        Case("nothing waits", _queue("0x400", "1000x400"), "21m"),
        Case("pending before ten minutes", _queue("0x20 0+50x400", "0+50x20 1000x400"), "15m", pending=True),
        Case("no data", {}, "21m"),
    ),
)


def _filled(size: int) -> dict[str, str]:
    where = f'{COLLECTOR},exporter="otlp_grpc/jaeger",data_type="traces"'
    return {
        f"otelcol_exporter_queue_size{{{where}}}": f"{size}x400",
        f"otelcol_exporter_queue_capacity{{{where}}}": "200000x400",
    }


QUEUE_FULL = Table(
    "OtelCollectorQueueNearlyFull",
    "critical",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "more than four fifths",
            _filled(170_000),
            "10m",
            (
                Told(
                    {"job": "otel-collector", "exporter": "otlp_grpc/jaeger"},
                    "The queue for otlp_grpc/jaeger is nearly full.",
                    "The Collector's queue for otlp_grpc/jaeger is 85% full; the limit is 80 %. When it is full, telemetry is lost.",
                ),
            ),
        ),
        Case("just below", _filled(155_000), "10m"),
        Case("pending before five minutes", _filled(170_000), "4m", pending=True),
        Case("empty", _filled(0), "10m"),
        Case("no data", {}, "10m"),
    ),
)


def _dropped(values: str) -> dict[str, str]:
    return {**alive(), f'blogauto_otel_items_dropped_total{{{JOB},signal="traces",reason="queue_full"}}': values}


DROPPED = Table(
    "TelemetryItemsDropped",
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "the first loss, of a counter that did not exist",
            _dropped("_x40 12x400"),
            "11m",
            (
                Told(
                    {**BACKEND, "signal": "traces", "reason": "queue_full"},
                    "blogauto-backend lost traces.",
                    "12 traces were dropped by the SDK in 5 minutes: queue_full.",
                ),
            ),
        ),
        Case(
            "it stays up for five minutes after the loss",
            _dropped("_x40 12x400"),
            "18m",
            (
                Told(
                    {**BACKEND, "signal": "traces", "reason": "queue_full"},
                    "blogauto-backend lost traces.",
                    "12 traces were dropped by the SDK in 5 minutes: queue_full.",
                ),
            ),
        ),
        Case("and not longer", _dropped("_x40 12x400"), "21m"),
        Case("nothing was lost lately", _dropped("12x400"), "11m"),
        Case(
            "an old process that Prometheus sees for the first time",
            {**_dropped("_x40 12x400"), f'target_info{{{JOB},service_name="blogauto-backend"}}': "_x40 1x400"},
            "11m",
        ),
        Case("no data", {}, "11m"),
    ),
)


def _spool(used: float, age: str) -> dict[str, str]:
    return {
        f"blogauto_otel_spool_bytes{{{JOB}}}": f"{used * 67_108_864:.0f}x400",
        f"blogauto_otel_spool_capacity_bytes{{{JOB}}}": "67108864x400",
        f"blogauto_otel_spool_oldest_file_age_seconds{{{JOB}}}": age,
    }


SPOOL_TOLD: Final = (
    Told(
        BACKEND,
        "blogauto-backend cannot deliver what waits on disk.",
        "More than 50 % of the room on disk is used, or the oldest file has been waiting for more than 15 minutes,"
        " although metrics arrive. When the room is used up, the oldest is lost.",
    ),
)

SPOOL = Table(
    "TelemetrySpoolFilling",
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case("more than half of the room is used", _spool(0.6, "60x400"), "15m", SPOOL_TOLD),
        Case("little waits, but for long", _spool(0.01, "1200x400"), "15m", SPOOL_TOLD),
        Case("less than half, and not for long", _spool(0.4, "600x400"), "15m"),
        Case("pending before ten minutes", _spool(0.6, "60x400"), "8m", pending=True),
        Case("an outage of an hour, over for five minutes", _spool(0.3, "3600x20 0x400"), "14m"),
        Case("nothing waits", _spool(0, "0x400"), "15m"),
        Case("no data", {}, "15m"),
    ),
)


def _rule_failures(values: str) -> dict[str, str]:
    where = 'job="prometheus",instance="p:9090",rule_group="rules/x.yml;x"'
    return {f"prometheus_rule_evaluation_failures_total{{{where}}}": values}


RULE_FAILURES = Table(
    "PrometheusRuleEvaluationFailures",
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "a rule fails at each evaluation",
            _rule_failures("0+1x400"),
            "12m",
            (
                Told(
                    {"job": "prometheus"},
                    "Prometheus cannot evaluate its rules.",
                    "Some rules fail: alerts may be silent. The page /rules of Prometheus names them.",
                ),
            ),
        ),
        Case("none fails", _rule_failures("7x400"), "12m"),
        Case("pending before five minutes", _rule_failures("0+1x400"), "4m", pending=True),
        Case("no data", {}, "12m"),
    ),
)

WATCHDOG = Table(
    "Watchdog",
    "none",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "always",
            {},
            "1m",
            (
                Told(
                    {"job": "prometheus"},
                    "Alerts reach you.",
                    "This alert always fires. When it stops arriving, the way from Prometheus to you is broken.",
                ),
            ),
        ),
        Case(
            "whatever happens",
            _failing(1),
            "20m",
            (
                Told(
                    {"job": "prometheus"},
                    "Alerts reach you.",
                    "This alert always fires. When it stops arriving, the way from Prometheus to you is broken.",
                ),
            ),
        ),
    ),
)

TABLES: Final[tuple[Table, ...]] = (
    RESPONSE_TIME,
    ERROR_RATE,
    REJECTIONS,
    AUTH_FAILURES,
    KEY_STORAGE,
    CONTENT,
    PUBLISH,
    PUBLISHING_STOPPED,
    CPU,
    MEMORY,
    DISK,
    RESTARTING,
    DOWN,
    DATABASE,
    REDIS,
    FRONTEND,
    TELEMETRY_ABSENT,
    *BURN_TABLES,
    COLLECTOR_DOWN,
    REFUSING,
    EXPORT_FAILING,
    BACKEND_AWAY,
    QUEUE_FULL,
    DROPPED,
    SPOOL,
    RULE_FAILURES,
    WATCHDOG,
)


def cases() -> Iterator[tuple[Table, Case]]:
    """Every unit test."""
    for table in TABLES:
        for case in table.cases:
            yield table, case
