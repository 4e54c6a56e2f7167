"""What every board of a service needs to write its queries: names, selectors, and the alerts that watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from grafana_foundation_sdk.models import dashboard

from monitoring.boards.layout import INTERVAL, Link, Row, Variable, Watch, annotation, board
from monitoring.parameters import TELEMETRY, Service
from monitoring.rules.application import application_rules
from monitoring.rules.conditions import comparisons
from monitoring.rules.model import Alert
from monitoring.rules.recorded import Recorded
from monitoring.rules.telemetry import telemetry_rules

JOB = 'job=~"$job"'
ENDPOINT = 'endpoint=~"$endpoint"'
FAILED = 'status=~"5.."'


@dataclass(frozen=True)
class BoardContext:
    """One service, seen from its boards."""

    service: Service

    @cached_property
    def recorded(self) -> Recorded:
        """The recorded series of the service."""
        return Recorded(self.service)

    @cached_property
    def alerts(self) -> dict[str, Alert]:
        """Every alert by name; of several with one name, the most urgent."""
        files = (application_rules(self.service), telemetry_rules(self.service))
        found: dict[str, Alert] = {}
        for file in files:
            for alert in file.alerts:
                found.setdefault(alert.name, alert)
        return found

    def watch(self, alert: str, *, scale: float = 1, bad: Literal["above", "below"] | None = None) -> Watch:
        """The alert of that name, with the limit of its first comparison; `scale` when the panel has another unit."""
        found = self.alerts[alert]
        first = next(iter(comparisons(found.condition)))
        return Watch(found, first.limit * scale, bad or ("below" if first.operator == "<" else "above"))

    def watch_absence(self, alert: str) -> Watch:
        """An alert that fires when nothing is there: fewer than one is bad."""
        return Watch(self.alerts[alert], 1, "below")

    def select(self, metric: str, *matchers: str, suffix: str = "") -> str:
        """A metric of the catalogue, of the chosen job: `select("api.requests", FAILED)`."""
        return f"{self.service.metric(metric)}{suffix}{{{','.join((JOB, *matchers))}}}"

    def rate(self, metric: str, *matchers: str, suffix: str = "") -> str:
        """Its increase per second, for charts."""
        return f"rate({self.select(metric, *matchers, suffix=suffix)}[{INTERVAL}])"

    def share(self, part: str, whole: str) -> str:
        """`part` of `whole`, both summed: 0 when there is no part yet, nothing (not NaN) when there is no whole."""
        return f"(sum({part}) or 0 * sum({whole})) / (sum({whole}) > 0)"

    def quantile(self, which: float, *matchers: str, by: Sequence[str] = ()) -> str:
        """A quantile of the request duration, from raw buckets: exemplars are looked up by these selectors."""
        grouped = ", ".join((*by, "le"))
        return f"histogram_quantile({which}, sum by ({grouped}) ({self.rate('api.request.duration', *matchers, suffix='_bucket')}))"

    @property
    def endpoint_link(self) -> Link:
        """From a series with an endpoint to everything about it."""
        uid = self.service.board("api")
        return Link(
            "This endpoint",
            f"/d/{uid}?var-job=${{job}}&var-endpoint=${{__field.labels.endpoint:percentencode}}&${{__url_time_range}}",
        )

    @property
    def job_variable(self) -> Variable:
        """Which service."""
        return Variable("job", "Service", f"label_values({self.service.metric('api.requests')}, job)", self.service.job)

    @property
    def endpoint_variable(self) -> Variable:
        """Which endpoints."""
        query = f'label_values({self.service.metric("api.requests")}{{job=~"$job"}}, endpoint)'
        return Variable("endpoint", "Endpoint", query, several=True)

    def annotations(self, service: str = "") -> list[dashboard.AnnotationQuery]:
        """Alerts that fired, starts, and new versions: what a person looks for beside a bend in a line."""
        whose = service or self.service.namespace
        info = 'target_info{job=~"$job"}'
        return [
            annotation(
                "Alerts",
                f'ALERTS{{alertstate="firing",service=~"{whose}",severity=~"critical|warning"}}',
                title="{{alertname}} {{endpoint}}",
                colour="red",
            ),
            annotation(
                "Starts",
                f'changes({self.recorded.start_time}{{job=~"$job"}}[1m]) > 0',
                title="{{job}} started",
                colour="blue",
            ),
            annotation(
                "Versions",
                f"count by (service_version) ({info}) unless count by (service_version) ({info} offset 5m)",
                title="version {{service_version}}",
                colour="purple",
            ),
        ]

    def board(
        self, name: str, title: str, description: str, rows: Sequence[Row], variables: Sequence[Variable], **more: Any
    ) -> dict[str, object]:
        """A board of this service."""
        whose = f"{self.service.namespace}|{TELEMETRY}" if name == "telemetry" else self.service.namespace
        return board(
            self.service.board(name),
            f"{self.service.title} / {title}",
            description,
            rows,
            tag=self.service.namespace,
            variables=variables,
            annotations=self.annotations(whose),
            **more,
        )
