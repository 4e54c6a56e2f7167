"""Hops to the Collector: name, connection, TLS, protocol, and its answer for each signal."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from blogauto_otel.cli import check
from blogauto_otel.cli.common import message
from blogauto_otel.cli.doctor.hop import Result, Run, broken, not_checked, ok, warning
from blogauto_otel.cli.doctor.server import ask_backend, clock
from blogauto_otel.cli.doctor.web import HttpResponse, fetch, within

if TYPE_CHECKING:
    from blogauto_otel.export.endpoints import ExportConfig

CONNECT_SECONDS: Final = 3.0
RESOLVE_SECONDS: Final = 8.0  # the resolver asks twice, for five seconds each
FULL: Final = 0.9  # of a queue
HALF: Final = 0.5  # from there on it is full for a batch that did not find room
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PORTS: Final = "4318 for http/protobuf, 4317 for grpc"


def reach(run: Run) -> Iterator[Result]:
    """Name, connection, TLS and protocol of every endpoint; then one item of each signal, if all of them answer."""
    from blogauto_otel.export import endpoints

    if run.settings.sdk_disabled:
        yield not_checked("collector", message("OTEL_SDK_DISABLED is set"))
        return
    configs = [
        config
        for config in endpoints.export_configs(run.settings)
        if "otlp" in getattr(run.settings, f"{config.signal.value}_exporter")
    ]
    reached: dict[tuple[str, str, int], bool] = {}
    is_reached = bool(configs)
    for config in configs:
        address = _address(config)
        if address not in reached:
            results = list(_connect(run, config, *address))
            reached[address] = not any(result.fix for result in results)
            yield from results
        answers = _ask(run, config) if reached[address] and not _is_grpc(run, config) else ()
        for result in answers:
            yield result
            is_reached = is_reached and not result.fix
        is_reached = is_reached and reached[address]
    if not configs:
        yield not_checked("collector", message("no signal is exported by OTLP"))
    elif is_reached:
        yield from _deliver(run)
    else:
        yield not_checked("delivery", message("the Collector is not reached"))


def _is_grpc(run: Run, config: ExportConfig) -> bool:
    return (getattr(run.settings, f"{config.signal.value}_protocol") or run.settings.protocol) == "grpc"


def _address(config: ExportConfig) -> tuple[str, str, int]:
    url = urlsplit(config.destination.url)
    is_tls = url.scheme in ("https", "grpcs")
    return url.scheme, url.hostname or "localhost", url.port or (443 if is_tls else 80)


def _connect(run: Run, config: ExportConfig, scheme: str, host: str, port: int) -> Iterator[Result]:
    try:
        addresses = _resolved(run, host, port)
    except OSError as error:
        yield broken(
            "name",
            message("{host} cannot be resolved: {error}", host=host, error=error),
            message(
                "correct the host of OTEL_EXPORTER_OTLP_ENDPOINT; between containers it is the name of the service"
            ),
        )
        return
    yield ok("name", message("{host} is {addresses}", host=host, addresses=", ".join(sorted(addresses))))
    try:
        connection = socket.create_connection((host, port), timeout=run.seconds(CONNECT_SECONDS))
    except OSError as error:
        yield broken("connection", f"{host}:{port}: {error}", _connection_fix(host))
        return
    with connection:
        yield ok("connection", f"{host}:{port}")
        if scheme in ("https", "grpcs"):
            yield _handshake(run, config, connection, host, port)


def _resolved(run: Run, host: str, port: int) -> set[str]:
    def resolve() -> set[str] | OSError:
        try:
            return {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        except OSError as error:
            return error

    seconds = run.seconds(RESOLVE_SECONDS)
    found = within(seconds, resolve) or TimeoutError(message("no answer within {seconds} s", seconds=f"{seconds:.1f}"))
    if isinstance(found, OSError):
        raise found
    return found


def _connection_fix(host: str) -> str:
    if host in _LOOPBACK and is_in_container():
        return message(
            "inside a container localhost is the container itself: set OTEL_EXPORTER_OTLP_ENDPOINT to the Collector's"
            " service, such as http://otel-collector:4318"
        )
    return message("start the Collector, or correct the port of OTEL_EXPORTER_OTLP_ENDPOINT ({ports})", ports=_PORTS)


def is_in_container(root: Path = Path("/")) -> bool:
    """Whether this process runs in a container."""
    return (
        any((root / name).exists() for name in (".dockerenv", "run/.containerenv"))
        or (root / "var/run/secrets/kubernetes.io").exists()
    )


def _handshake(run: Run, config: ExportConfig, connection: socket.socket, host: str, port: int) -> Result:
    where = f"{host}:{port}"
    try:
        context = ssl.create_default_context(cafile=config.destination.certificate)
        connection.settimeout(run.seconds(CONNECT_SECONDS))
        with context.wrap_socket(connection, server_hostname=host) as secured:
            return ok("tls", f"{where}: {secured.version()}")
    except ssl.SSLCertVerificationError as error:
        return broken(
            "tls",
            f"{where}: {error.verify_message}",
            message("set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of the authority that signed it"),
        )
    except (OSError, ValueError) as error:
        return broken(
            "tls",
            message("{where} does not speak TLS: {error}", where=where, error=error),
            message("write http:// in OTEL_EXPORTER_OTLP_ENDPOINT, or switch TLS on in the Collector's receiver"),
        )


def _ask(run: Run, config: ExportConfig) -> Iterator[Result]:
    """Send an empty request, which is valid and stores nothing."""
    destination = config.destination
    hop = f"collector {config.signal.value}"
    headers = {"Content-Type": "application/x-protobuf", **dict(destination.headers)}
    answer = fetch(destination.url, timeout=run.seconds(5.0), headers=headers, body=b"")
    if answer.status == 0:
        yield _no_answer(hop, answer, destination.url)
        return
    yield from clock(message("the Collector"), answer.date, time.time())
    yield _result_of(hop, answer, destination.url)


def _no_answer(hop: str, answer: HttpResponse, url: str) -> Result:
    if re.search("BadStatusLine|RemoteDisconnected|ConnectionReset|IncompleteRead|UnknownProtocol", answer.error):
        return broken(
            hop,
            message("{url} does not answer HTTP/1.1: {error}", url=url, error=answer.error),
            message(
                "this is a gRPC port: use the port of OTLP over HTTP (4318), or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
            ),
        )
    return broken(hop, f"{url}: {answer.error}", message("look at the Collector's log"))


def _fix(status: int) -> str:
    fixes = {
        401: message("set the token in OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20..."),
        403: message("use a token that may write this signal (OTEL_EXPORTER_OTLP_HEADERS)"),
        404: message(
            "correct the path: OTEL_EXPORTER_OTLP_ENDPOINT is the base URL, /v1/traces is added; or the Collector has"
            " no pipeline for this signal"
        ),
        405: message("correct the path of OTEL_EXPORTER_OTLP_ENDPOINT: this is not an OTLP receiver"),
        429: message("the Collector refuses for now: look at its queues and its memory limit"),
        503: message("the Collector refuses for now: look at its queues, its memory limit and its backends"),
    }
    return fixes.get(status, message("look at the Collector's log"))


def _result_of(hop: str, answer: HttpResponse, url: str) -> Result:
    if 200 <= answer.status < 300:
        return ok(hop, url)
    if answer.status == 400 and "HTTPS server" in answer.text:
        return broken(
            hop, message("{url} expects TLS", url=url), message("write https:// in OTEL_EXPORTER_OTLP_ENDPOINT")
        )
    found = message("{url} answers {status}", url=url, status=f"{answer.status} {answer.text}")
    return broken(hop, found, _fix(answer.status))


def _deliver(run: Run) -> Iterator[Result]:
    """One span, log record and collection of metrics, by the exporter that the application uses."""
    facts = check.deliver_one_of_each(run.options.service)
    for signal, figures in facts["delivery"].items():
        if figures["accepted"]:
            hop = f"delivery {signal}"
            if check.is_accepted(figures):
                yield ok(hop, message("accepted"))
            else:
                why = figures["last_error"] or ", ".join(figures["dropped"]) or message("no answer")
                yield broken(hop, message("not accepted: {why}", why=why), message("look at the Collector's log"))
    for problem in facts["problems"]:
        yield warning("delivery", problem)


# --- the Collector's own metrics -------------------------------------------------------------------------------------

_SAMPLE: Final = re.compile(r"^(\w+)(?:\{([^}]*)\})?\s+(\S+)", re.MULTILINE)


def own_metrics(run: Run) -> Iterator[Result]:
    """Queues of the Collector's exporters, and what it has refused."""
    answer = ask_backend(run, "collector queues", "")
    samples = [
        (name, labels, float(value)) for name, labels, value in _SAMPLE.findall(answer.body.decode("utf-8", "replace"))
    ]
    sizes, capacities, failed = (
        _by_exporter(samples, name)
        for name in ("exporter_queue_size", "exporter_queue_capacity", r"exporter_enqueue_failed_\w+?(_total)?")
    )
    full = [
        exporter
        for exporter, size in sizes.items()
        if size >= (HALF if failed.get(exporter) else FULL) * capacities.get(exporter, size + 1)
    ]
    refused = sum(value for name, _, value in samples if re.fullmatch(r"otelcol_receiver_refused_\w+?(_total)?", name))
    if full:
        yield broken(
            "collector queues",
            message("the queue of {exporters} is full", exporters=", ".join(sorted(full))),
            message("start the backend that this exporter sends to, or enlarge the queue"),
        )
    elif refused:
        yield warning(
            "collector queues",
            message("{count} items refused since the Collector's start", count=f"{refused:.0f}"),
            message("look at its memory limit and its backends"),
        )
    else:
        yield ok("collector queues", message("{count} queues, none full", count=len(sizes)))


def _by_exporter(samples: Sequence[tuple[str, str, float]], name: str) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for metric, labels, value in samples:
        exporter = re.search(r'exporter="([^"]*)"', labels)
        if exporter is not None and re.fullmatch(f"otelcol_{name}", metric):
            found[exporter[1]] = found.get(exporter[1], 0.0) + value
    return found
