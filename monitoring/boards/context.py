"""What every board of a service needs: selectors, shared queries, alert thresholds, variables and annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from grafana_foundation_sdk.models import dashboard

from monitoring.alerts.all import all_alerts
from monitoring.boards.layout import INTERVAL, AlertThreshold, Link, Row, Variable, annotation, board
from monitoring.parameters import TELEMETRY, Service
from monitoring.rules.conditions import comparisons
from monitoring.rules.model import Alert
from monitoring.rules.recorded import Recorded

JOB = 'job=~"$job"'
ENDPOINT = 'endpoint=~"$endpoint"'
FAILED = 'status=~"5.."'


@dataclass(frozen=True)
class BoardContext:
    """The service whose boards are built."""

    service: Service

    @cached_property
    def recorded(self) -> Recorded:
        """The recorded series of the service."""
        return Recorded(self.service)

    @cached_property
    def alerts(self) -> dict[str, Alert]:
        """Every alert by name; of several with one name, the most urgent."""
        found: dict[str, Alert] = {}
        for alert in all_alerts(self.service):
            found.setdefault(alert.name, alert.rule)
        return found

    def threshold(
        self, alert: str, *, scale: float = 1, bad: Literal["above", "below"] | None = None
    ) -> AlertThreshold:
        """The threshold of an alert: the limit of its first comparison, times `scale` when the panel has another unit."""
        found = self.alerts[alert]
        first = next(iter(comparisons(found.condition)))
        return AlertThreshold(found, first.limit * scale, bad or ("below" if first.operator == "<" else "above"))

    def presence_threshold(self, alert: str) -> AlertThreshold:
        """The threshold of an alert that fires when there is no series: fewer than one."""
        return AlertThreshold(self.alerts[alert], 1, "below")

    def selector(self, metric: str, *matchers: str, suffix: str = "") -> str:
        """A metric of the catalogue, of the chosen job: `selector("api.requests", FAILED)`."""
        return f"{self.service.metric(metric)}{suffix}{{{','.join((JOB, *matchers))}}}"

    def rate(self, metric: str, *matchers: str, suffix: str = "") -> str:
        """Its rate per second, for time series panels."""
        return f"rate({self.selector(metric, *matchers, suffix=suffix)}[{INTERVAL}])"

    def per_minute(self, metric: str, *matchers: str, by: str = "") -> str:
        """The sum of its rate, per minute: a small service has few requests per second."""
        return f"60 * sum{f' by ({by}) ' if by else ''}({self.rate(metric, *matchers)})"

    def ratio(self, part: str, whole: str) -> str:
        """`part` divided by `whole`, both summed: 0 while `part` has no series, no result (not NaN) while `whole` is 0."""
        return f"(sum({part}) or 0 * sum({whole})) / (sum({whole}) > 0)"

    def ratio_by(self, label: str, part: str, whole: str) -> str:
        """The same for each value of a label."""
        parts, wholes = f"sum by ({label}) ({part})", f"sum by ({label}) ({whole})"
        return f"({parts} or 0 * {wholes}) / ({wholes} > 0)"

    def quantile(self, which: float, *matchers: str, by: Sequence[str] = ()) -> str:
        """A quantile of the request duration, from raw buckets: exemplars are looked up by these selectors."""
        return self.quantile_of("api.request.duration", which, *matchers, by=by)

    def quantile_of(self, histogram: str, which: float, *matchers: str, by: Sequence[str] = ()) -> str:
        """The same of any histogram."""
        grouped = ", ".join((*by, "le"))
        return f"histogram_quantile({which}, sum by ({grouped}) ({self.rate(histogram, *matchers, suffix='_bucket')}))"

    @property
    def endpoint_link(self) -> Link:
        """From a series with an endpoint to the API board of that endpoint."""
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
        """Firing alerts, process starts and new versions, marked in the time series panels."""
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
