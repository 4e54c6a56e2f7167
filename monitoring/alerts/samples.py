"""Input series for the unit tests of alerts, in promtool's notation."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import Case, ExpectedAlert, UnitTests
from monitoring.rules.model import Severity

JOB: Final = 'job="blogauto-backend",instance="a"'


def requests(status: str, endpoint: str, values: str, *, method: str = "GET") -> dict[str, str]:
    """A request counter."""
    return {f'blogauto_api_requests_total{{{JOB},method="{method}",endpoint="{endpoint}",status="{status}"}}': values}


def alive(steps: int = 400) -> dict[str, str]:
    """A process that Prometheus has known for long."""
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


def failing(share: float, rate: float = 10) -> dict[str, str]:
    """`rate` requests a sample, of which `share` fail."""
    return {
        **alive(),
        **requests("200", "/a", f"0+{rate * (1 - share):g}x400"),
        **requests("500", "/a", f"0+{rate * share:g}x400"),
    }


def up(job: str, values: str, name: str = "up") -> dict[str, str]:
    """A target of a job."""
    return {f'{name}{{job="{job}",instance="h:1"}}': values}


def down_alert(job: str, summary: str, description: str) -> ExpectedAlert:
    """The alert about a target that is down."""
    return ExpectedAlert({"job": job, "instance": "h:1"}, summary, description)


def telemetry_tests(severity: Severity, *cases: Case) -> UnitTests:
    """The tests of an alert about the monitoring itself."""
    return UnitTests(severity, "telemetry", "blogauto-telemetry", cases, service="telemetry")
