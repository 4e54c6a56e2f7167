"""Is the application well? What is recorded about it, and who is told when not."""

from __future__ import annotations

from monitoring.metrics import of_self
from monitoring.parameters import Service, percent, spell
from monitoring.promql import counted, edge, zero_filled
from monitoring.rules.conditions import Compare, Either, Every, Holds
from monitoring.rules.model import Alert, Group, Recording, RuleFile
from monitoring.rules.objectives import objective_groups
from monitoring.rules.recorded import Recorded


def application_rules(service: Service) -> RuleFile:
    """The rule file of one service."""
    recorded = Recorded(service)
    return RuleFile(
        name=service.namespace,
        service=service.namespace,
        groups=(
            Group(f"{service.namespace}-recording", _recordings(service, recorded)),
            *objective_groups(service, recorded),
            Group(f"{service.namespace}-requests", _request_alerts(service, recorded)),
            Group(f"{service.namespace}-business", _business_alerts(service, recorded)),
            Group(f"{service.namespace}-host", _host_alerts(service, recorded)),
            Group(f"{service.namespace}-availability", _availability_alerts(service)),
        ),
    )


def _recordings(service: Service, recorded: Recorded) -> tuple[Recording, ...]:
    requests = service.metric("api.requests")
    duration = service.metric("api.request.duration")
    total = f"sum by (job) (rate({requests}[5m]))"
    failed = f'status=~"5..",endpoint=~"{service.content_endpoints}"'
    secure = f'status=~"5..",endpoint=~"{service.secure_endpoints}"'
    content = f'endpoint=~"{service.content_endpoints}"'
    fast = f"sum by (job) (rate({duration}_bucket{{{edge(service.objective.seconds)}}}[5m]))"
    return (
        Recording(recorded.requests, total),
        Recording(recorded.requests_by_endpoint, f"sum by (job, endpoint) (rate({requests}[5m]))"),
        Recording(
            recorded.errors, zero_filled(f'sum by (job) (rate({requests}{{status=~"5.."}}[5m]))', recorded.requests)
        ),
        Recording(recorded.slow, f"clamp_min(sum by (job) (rate({duration}_count[5m])) - {fast}, 0)"),
        # `> 0` and `>= 0`: without traffic there is no series, instead of a NaN that spoils every sum it enters.
        Recording(recorded.ratio("5m", of="errors"), f"{recorded.errors} / ({recorded.requests} > 0)"),
        Recording(recorded.ratio("5m", of="slow"), f"{recorded.slow} / ({recorded.requests} > 0)"),
        Recording(
            recorded.p95_by_endpoint,
            f"histogram_quantile(0.95, sum by (job, endpoint, le) (rate({duration}_bucket[5m]))) >= 0",
        ),
        Recording(recorded.secure_failures, _sum_counted(f"{requests}{{{secure}}}", "5m", service)),
        Recording(recorded.generations, _sum_counted(f"{requests}{{{content}}}", "10m", service)),
        Recording(
            recorded.generation_failures,
            zero_filled(_sum_counted(f"{requests}{{{failed}}}", "10m", service), recorded.generations),
        ),
        Recording(recorded.start_time, f"max by (job) ({start_time(service)})"),
    )


def start_time(service: Service) -> str:
    """When each process of the service started, in Unix seconds."""
    return f'{of_self("process.start_time")}{{job="{service.job}"}}'


def _sum_counted(series: str, window: str, service: Service) -> str:
    return f"sum by (job) {counted(series, window, alive=service.metric('keywords.analyzed'))}"


def _request_alerts(service: Service, recorded: Recorded) -> tuple[Alert, ...]:
    limits = service.thresholds
    endpoint = {"endpoint": "{{ $labels.endpoint | urlquery }}"}
    rejected = service.metric("rate_limit.rejected")
    events = service.metric("security.events")
    logins = f'{service.metric("api.requests")}{{endpoint=~"{service.login_endpoints}"}}'
    failures = f'sum by (job) (increase({events}{{type="auth_failure"}}[5m]))'
    return (
        Alert(
            name="HighApiResponseTime",
            severity="warning",
            category="latency",
            condition=Every(
                (
                    Compare(recorded.p95_by_endpoint, ">", limits.p95_seconds),
                    Compare(f"{recorded.requests_by_endpoint} * 300", ">", limits.minimum_requests),
                )
            ),
            wait="5m",
            hold="5m",
            summary="{{ $labels.endpoint }} is slow.",
            description=(
                f"One request in twenty to {{{{ $labels.endpoint }}}} takes longer than {{{{ $value | humanizeDuration }}}};"
                f" the limit is {spell(limits.p95_seconds)} s."
            ),
            board="api",
            variables=endpoint,
            because="A guard on traffic: one slow request to a rare endpoint is no news.",
        ),
        Alert(
            name="HighApiErrorRate",
            severity="critical",
            category="errors",
            condition=Every(
                (
                    Compare(recorded.ratio("5m", of="errors"), ">", limits.error_ratio),
                    Compare(f"{recorded.requests} * 300", ">", limits.minimum_requests),
                )
            ),
            wait="5m",
            hold="5m",
            summary="{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} fail.",
            description=(
                f"{{{{ $value | humanizePercentage }}}} of the requests were answered with a 5xx status in the last 5 minutes;"
                f" the limit is {percent(limits.error_ratio)}."
            ),
            board="api",
            because="A share of all requests: errors spread over endpoints and codes add up.",
        ),
        Alert(
            name="HighRateLimitRejections",
            severity="warning",
            category="security",
            condition=Compare(f"sum by (job) (rate({rejected}[5m]))", ">", limits.rejections_per_second),
            wait="5m",
            hold="5m",
            summary="The rate limit of {{ $labels.job }} refuses many requests.",
            description=(
                "{{ $value | humanize }} requests per second were refused with 429 in the last 5 minutes;"
                f" the limit is {spell(limits.rejections_per_second)}."
            ),
            board="security",
        ),
        Alert(
            name="AuthFailureSpike",
            severity="warning",
            category="security",
            condition=Every(
                (
                    Compare(failures, ">", limits.auth_failures),
                    Compare(f"{failures} / sum by (job) (increase({logins}[5m]))", ">", limits.auth_failure_ratio),
                )
            ),
            wait="2m",
            hold="5m",
            summary="Many logins to {{ $labels.job }} fail.",
            description=(
                "About {{ $value | humanize }} logins failed in 5 minutes, and they were more than"
                f" {percent(limits.auth_failure_ratio)} of those tried: somebody guesses passwords, or logging in is broken."
            ),
            board="security",
        ),
    )


def _business_alerts(service: Service, recorded: Recorded) -> tuple[Alert, ...]:
    limits = service.thresholds
    published = service.metric("wordpress.posts.published")
    failed, succeeded = f'{published}{{status="failed"}}', f'{published}{{status="success"}}'
    return (
        Alert(
            name="ApiKeyStorageFailure",
            severity="critical",
            category="business",
            condition=Compare(f"round({recorded.secure_failures})", ">", limits.secure_failures),
            wait="1m",
            hold="5m",
            summary="API keys cannot be stored in {{ $labels.job }}.",
            description=(
                "{{ $value }} requests to the secure endpoints failed with a 5xx status in 5 minutes;"
                f" the limit is {spell(limits.secure_failures)}."
            ),
            board="business",
            because="5xx only: a user's wrong key (400) or missing login (401) is no failure of ours. Counts are rounded, for"
            " increase() extrapolates: five become 5.26. The wait is short: a burst leaves its window after 5 minutes.",
        ),
        Alert(
            name="ContentGenerationFailure",
            severity="critical",
            category="business",
            condition=Every(
                (
                    Compare(
                        f"{recorded.generation_failures} / {recorded.generations}", ">", limits.content_failure_ratio
                    ),
                    Compare(f"round({recorded.generations})", ">=", limits.minimum_generations),
                )
            ),
            wait="2m",
            hold="5m",
            summary="{{ $value | humanizePercentage }} of the articles cannot be written.",
            description=(
                "{{ $value | humanizePercentage }} of the content generation requests failed with a 5xx status in 10 minutes;"
                f" the limit is {percent(limits.content_failure_ratio)}."
            ),
            board="business",
            because="Failures and requests come from one counter, so the share never exceeds 1.",
        ),
        Alert(
            name="WordPressPublishFailure",
            severity="critical",
            category="business",
            condition=Compare(f"round(sum by (job) (increase({failed}[5m])))", ">", limits.publish_failures),
            wait="1m",
            hold="5m",
            summary="Posts do not reach WordPress.",
            description=(
                f"{{{{ $value }}}} posts could not be published in 5 minutes; the limit is {spell(limits.publish_failures)}."
            ),
            board="business",
        ),
        Alert(
            name="WordPressPublishingStopped",
            severity="warning",
            category="business",
            condition=Every(
                (
                    Compare(f"round(sum by (job) (increase({failed}[1h])))", ">=", limits.publish_attempts),
                    Compare(f"sum by (job) (increase({succeeded}[1h]))", "==", 0),
                )
            ),
            wait="2m",
            hold="15m",
            summary="Nothing was published for an hour.",
            description="{{ $value }} posts were tried in the last hour, and none reached WordPress.",
            board="business",
            because="For blogs that publish a few posts an hour, where WordPressPublishFailure never sees enough at once.",
        ),
    )


def _host_alerts(service: Service, recorded: Recorded) -> tuple[Alert, ...]:
    limits = service.thresholds
    cpu, disk = service.metric("cpu.usage"), service.metric("disk.usage")
    available, total = service.metric("memory.available"), service.metric("memory.total")
    return (
        Alert(
            name="HighCpuUsage",
            severity="warning",
            category="saturation",
            condition=Compare(f"max by (job) (avg_over_time({cpu}[5m]))", ">", limits.cpu_percent),
            wait="5m",
            hold="5m",
            summary="{{ $labels.job }} is short of CPU.",
            description=(
                f'{{{{ $value | printf "%.0f" }}}} % of the CPU was in use over 5 minutes; the limit is {spell(limits.cpu_percent)} %.'
            ),
            because="The busiest host: each worker reports the CPU of its host. An average over time: one idle moment does not reset the wait.",
        ),
        Alert(
            name="LowMemoryAvailable",
            severity="critical",
            category="saturation",
            condition=Compare(
                f"min by (job) (avg_over_time({available}[5m]) / {total})", "<", limits.memory_available_ratio
            ),
            wait="5m",
            hold="5m",
            summary="{{ $labels.job }} is short of memory.",
            description=(
                "Only {{ $value | humanizePercentage }} of the memory was available over 5 minutes;"
                f" the limit is {percent(limits.memory_available_ratio)}."
            ),
            because="A share: 3.5 GiB in use are too much of 4 and nothing of 64.",
        ),
        Alert(
            name="LowDiskSpace",
            severity="warning",
            category="saturation",
            condition=Compare(f"max by (job) ({disk})", ">", limits.disk_percent),
            wait="5m",
            hold="5m",
            summary="The disk of {{ $labels.job }} is filling up.",
            description=(
                f'{{{{ $value | printf "%.0f" }}}} % of the root filesystem is in use; the limit is {spell(limits.disk_percent)} %.'
            ),
        ),
        Alert(
            name="BackendRestarting",
            severity="warning",
            category="availability",
            condition=Compare(f"changes({recorded.start_time}[15m])", ">", limits.restarts),
            wait="0s",
            hold="5m",
            summary="{{ $labels.job }} restarts again and again.",
            description=f"It started {{{{ $value }}}} times in 15 minutes; more than {spell(limits.restarts)} are no deployment.",
            because="The newest start among all processes: workers that start together count once.",
        ),
    )


def _availability_alerts(service: Service) -> tuple[Alert, ...]:
    backend = f'up{{job="{service.job}"}}'
    return (
        Alert(
            name="BackendServiceDown",
            severity="critical",
            category="availability",
            condition=Either((Compare(backend, "==", 0), Holds(f"absent({backend})"))),
            wait="1m",
            summary="{{ $labels.job }} does not answer.",
            description=(
                "Prometheus could not read /metrics of {{ $labels.job }}"
                "{{ with $labels.instance }} at {{ . }}{{ end }} for a minute."
            ),
            because="`up` of the scraped job: what is pushed has no `up`. Absent: the target is not even configured.",
        ),
        Alert(
            name="DatabaseConnectionDown",
            severity="critical",
            category="availability",
            condition=Either((Compare('up{job="postgres"}', "==", 0), Compare('pg_up{job="postgres"}', "==", 0))),
            wait="1m",
            summary="PostgreSQL does not answer.",
            description="The exporter at {{ $labels.instance }}, or the database behind it, did not answer for a minute.",
            because="`pg_up`: the exporter stays up when the database dies. Without such a job there is no series and no alert.",
        ),
        Alert(
            name="RedisConnectionDown",
            severity="critical",
            category="availability",
            condition=Either((Compare('up{job="redis"}', "==", 0), Compare('redis_up{job="redis"}', "==", 0))),
            wait="1m",
            summary="Redis does not answer.",
            description="The exporter at {{ $labels.instance }}, or the Redis behind it, did not answer for a minute.",
        ),
        Alert(
            name="FrontendServiceDown",
            severity="critical",
            category="availability",
            condition=Compare(f'up{{job="{service.frontend_job}"}}', "==", 0),
            wait="1m",
            summary="{{ $labels.job }} does not answer.",
            description="Prometheus could not reach {{ $labels.job }} at {{ $labels.instance }} for a minute.",
        ),
        Alert(
            name="BackendTelemetryAbsent",
            severity="warning",
            category="telemetry",
            condition=Holds(f'absent(target_info{{job="{service.job}"}})'),
            wait="5m",
            summary="No telemetry arrives from {{ $labels.job }}.",
            description=(
                "No metrics of {{ $labels.job }} came through the Collector for 5 minutes: the other alerts about it are blind."
            ),
            board="telemetry",
            because="The other half of BackendServiceDown: the backend may answer while what it pushes is lost.",
        ),
    )
