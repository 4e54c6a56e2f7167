"""Where a row is played: the application as a real process, a receiver that misbehaves, a neighbour left alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from blogauto_otel.spool.file_format import parse
from testkit.child import free_port
from testkit.children import PATIENCE, Child, python, running
from testkit.receiver import Receiver
from tests.faults import rule as common
from tests.faults.rule import RULE, Rule

APP = "tests.faults.application:app"

IDLE = 3.0  # seconds; uvicorn closes a connection that nothing came over for five

Command = Callable[[int], list[str]]


def _uvicorn(*options: str) -> Command:
    return lambda port: python("-m", "uvicorn", APP, "--port", str(port), "--log-level", "warning", *options)


def _gunicorn(*options: str) -> Command:
    worker = "uvicorn_worker.UvicornWorker"
    return lambda port: python("-m", "gunicorn", APP, "-k", worker, "-b", f"127.0.0.1:{port}", *options)


UVICORN = _uvicorn()
UVICORN_ASYNCIO = _uvicorn("--loop", "asyncio")
UVICORN_WORKERS = _uvicorn("--workers", "2")
UVICORN_RELOAD = _uvicorn("--reload", "--reload-dir", "tests/faults/programs")
GUNICORN = _gunicorn("-w", "2")
GUNICORN_FOUR = _gunicorn("-w", "4")
GUNICORN_PRELOAD = _gunicorn("-w", "2", "--preload")
GUNICORN_RECYCLING = _gunicorn("-w", "1", "--max-requests", "20")
GUNICORN_IMPATIENT = _gunicorn("-w", "1", "--timeout", "2")

# What each row begins with; quick where production would wait, so that a row takes seconds.
VARIABLES = {
    "BLOGAUTO_OTEL_CONSOLE": "json",
    "BLOGAUTO_OTEL_UNTRACED_ROUTES": "/ready,/state",
    "BLOGAUTO_OTEL_SYSTEM_METRICS": "false",
}


@dataclass(frozen=True)
class Line:
    """A line that the application printed: a record in JSON, or whatever else got to the terminal."""

    text: str
    logger: str = ""
    level: str = ""
    is_record: bool = False

    @property
    def kind(self) -> str:
        """Lines that differ only in their figures are of one kind; the status of an answer is no figure."""
        return re.sub(r"(?<!HTTP )\b\d+", "#", self.text)

    @property
    def is_trouble(self) -> bool:
        """Whether an exception got here, by whatever way."""
        if self.is_record:
            return self.level in {"ERROR", "CRITICAL"}
        return re.search(r"Traceback|Exception|Error|Segmentation", self.text) is not None


def read_lines(output: str) -> list[Line]:
    return [_line(text) for text in output.splitlines() if text.strip()]


def _line(text: str) -> Line:
    try:
        record = json.loads(text)
        return Line(record["message"], record["logger"], record["level"], is_record=True)
    except (ValueError, KeyError, TypeError):
        return Line(text)


@dataclass
class Arrived:
    """What receivers hold: each span by its id, each record by the span it belongs to and its text, and how often."""

    spans: Counter[str] = field(default_factory=Counter)
    logs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def at(cls, *receivers: Receiver) -> Arrived:
        spans = (span.span_id for receiver in receivers for span in receiver.spans)
        logs = ((record.span_id, str(record.body)) for receiver in receivers for record in receiver.logs)
        return cls(Counter(spans), Counter(logs))

    @property
    def duplicates(self) -> int:
        """Of spans, and of records that belong to one: those that do not may say the same twice."""
        in_spans = (count for (span, _), count in self.logs.items() if span)
        return sum(count - 1 for count in (*self.spans.values(), *in_spans))


class Asking:
    """Requests over one kept connection, or over one each."""

    def __init__(self, port: int, *, keep: bool = True) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._keep = keep
        self._asked_at = 0.0

    def get(self, path: str) -> Any:
        """The JSON that came back.

        Raises:
            AssertionError: the application answered anything but 200: an exception reached it.
        """
        if not self._keep or time.monotonic() - self._asked_at > IDLE:
            self._connection.close()
        try:
            status, body = self._exchange(path)
        except ConnectionError:
            if self._keep:
                raise
            status, body = self._exchange(path)  # a worker that is being replaced hangs up
        self._asked_at = time.monotonic()
        assert status == 200, f"{path}: {status} {body!r}"
        return json.loads(body)

    def _exchange(self, path: str) -> tuple[int, bytes]:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        self._connection.close()


class Service:
    """The application under fault, beside a neighbour without one; held to the rule when it ends."""

    def __init__(self, child: Child, neighbour: Asking | None, *, keep: bool = True) -> None:
        self.child = child
        self.made_spans: list[str] = []
        self.made_logs: list[tuple[str, str]] = []
        self.made_at: list[float] = []  # `time.monotonic` of each request
        self.pairs: list[tuple[float, float]] = []
        self.last: dict[str, Any] = {}
        self.receivers: list[Receiver] = []
        self.exit_seconds: float | None = None
        self._asking = Asking(child.port, keep=keep)
        self._neighbour = neighbour
        self._warm: dict[int, int] = {}
        self._grown = 0
        self._ended_at: float | None = None

    # -- asking

    def hit(self, times: int = 100) -> None:
        """So many requests, each beside one to the neighbour; in turn one of them is first."""
        for _ in range(times):
            number = len(self.made_logs)
            if self._neighbour is None:
                self._hit(number)
            elif number % 2:
                mine = _timed(lambda number=number: self._hit(number))  # type: ignore[misc]
                self.pairs.append((mine, _timed(self._neighbour_hit)))
            else:
                others = _timed(self._neighbour_hit)
                self.pairs.append((_timed(lambda number=number: self._hit(number)), others))  # type: ignore[misc]

    def _hit(self, number: int) -> None:
        server, inner = self._asking.get(f"/hit/{number}")
        self.made_spans += (server, inner)
        self.made_logs.append((inner, f"hit {number}"))
        self.made_at.append(time.monotonic())

    def _neighbour_hit(self) -> None:
        assert self._neighbour is not None
        self._neighbour.get("/hit/0")

    def do(self, name: str, **given: Any) -> Any:
        """Let the application do a deed; what it returned."""
        return self._asking.get(f"/do/{name}?given={urllib.parse.quote(json.dumps(given))}")

    def get(self, path: str) -> Any:
        return self._asking.get(path)

    def state(self) -> dict[str, Any]:
        return dict(self._asking.get("/state"))

    def delivery(self, signal: str = "traces") -> dict[str, Any]:
        """The figures of one signal."""
        return dict(self.state()["delivery"][signal])

    # -- the process

    def warm_up(self) -> None:
        """From here on it may grow by so much and no more."""
        for process in _family(self.child.process.pid):
            self._warm[process.pid] = process.memory_info().rss
            with contextlib.suppress(OSError):
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the high-water mark begins anew

    def growth(self) -> int:
        """By how many bytes any of the processes has been above where it stood."""
        peaks = {pid: _peak(pid) for pid in self._warm}
        return max([self._grown, *(peak - self._warm[pid] for pid, peak in peaks.items())])

    def end(self, number: int = signal.SIGTERM) -> float:
        """Look at it a last time, signal, and wait; the seconds until it was gone."""
        self.look()
        return self.go(number)

    def look(self) -> None:
        """Remember the figures and the growth: it may be gone soon."""
        self.last = self.state()
        self._grown = self.growth()

    def go(self, number: int) -> float:
        """Signal and wait."""
        self._asking.close()
        self.exit_seconds = self.child.end(number)
        self._ended_at = time.monotonic()
        return self.exit_seconds

    @property
    def seconds(self) -> float:
        """How long it has lived."""
        return (self._ended_at or time.monotonic()) - self.child.started

    # -- what it said, and what became of what it made

    @property
    def lines(self) -> list[Line]:
        return read_lines(self.child.output)

    @property
    def own_lines(self) -> list[Line]:
        """What telemetry said of itself."""
        return [line for line in self.lines if line.logger.partition(".")[0] == "blogauto_otel"]

    @property
    def processes(self) -> int:
        """How many have spoken: each configures telemetry, or was forked from one that did."""
        starts = sum("; on: " in line.text for line in self.own_lines)
        return max(starts, len(self._warm))

    def told(self, words: str) -> list[str]:
        """Own lines with these words in them."""
        return [line.text for line in self.own_lines if words in line.text]

    def arrived(self) -> Arrived:
        return Arrived.at(*self.receivers)

    def missing(self) -> dict[str, int]:
        """How many items that requests made are at no receiver, by signal."""
        arrived = self.arrived()
        missing = {
            "traces": sum(span not in arrived.spans for span in self.made_spans),
            "logs": sum(record not in arrived.logs for record in self.made_logs),
        }
        return {signal: count for signal, count in missing.items() if count}

    def lost(self) -> dict[str, dict[str, int]]:
        """How many items were counted as lost, by signal and reason; what the end cost is told in a line."""
        lost = {
            name: {reason: count for reason, count in figures["dropped"].items() if reason != "superseded"}
            for name, figures in self.last["delivery"].items()
            if name != "spool"
        }
        for text in self.told("not delivered before the end of the process"):
            for count, name in re.findall(r"(\d+) (traces|metrics|logs)", text):
                lost[name]["shutdown"] = lost[name].get("shutdown", 0) + int(count)
        return {name: reasons for name, reasons in lost.items() if reasons}


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _peak(pid: int) -> int:
    """The most memory it has had since its high-water mark began anew; nothing when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


@dataclass
class Lab:
    """What a row is given."""

    folder: Path
    neighbour: Asking

    @contextlib.contextmanager
    def service(
        self,
        receiver: Receiver | str,
        *,
        rule: Rule = RULE,
        server: Command = UVICORN,
        paired: bool = True,
        keep: bool = True,
        **variables: str,
    ) -> Iterator[Service]:
        """Start the application, and hold it to the rule when the block is left.

        Args:
            receiver: who gets its telemetry, or an address of its own kind of trouble.
            rule: how far the fault may be felt.
            server: which of the servers runs it.
            paired: whether its requests are compared with the neighbour's.
            keep: whether requests share one connection; servers with several workers want one each.
            variables: of its environment.
        """
        with self.unruled(receiver, server=server, paired=paired, keep=keep, **variables) as service:
            yield service
            if service.exit_seconds is None:
                if paired:
                    common.requests_are_no_slower(service, rule)
                service.end()
        assert service.exit_seconds is not None
        common.the_end_is_quick(service.exit_seconds, rule)
        common.memory_is_no_larger(service, rule)
        common.nothing_was_raised(service, rule)
        common.nothing_is_told_twice(service)
        with self.next_start(service):
            common.losses_are_counted_and_told_once(service, rule)

    @contextlib.contextmanager
    def next_start(self, service: Service) -> Iterator[Program | None]:
        """Where something waits on disk, start anew with a receiver that takes everything, until nothing does."""
        if not self.spooled():
            yield None
            return
        with Receiver() as harbour:
            program = self.program("next_start", harbour)
            assert program.code == 0, program.output
            assert not self.spooled(), program.output
            service.receivers.append(harbour)
            yield program

    @property
    def spool(self) -> Path:
        """The directory that the application of this row may use."""
        return self.folder / "spool"

    def spooled(self, state: str = "") -> list[Path]:
        """The files that wait there, or those in another state: `claim`, `tmp`, `bad`."""
        names = ((path, parse(path.name)) for path in self.spool.rglob("*"))
        wanted = ("", "claim") if not state else (state,)
        return sorted(path for path, name in names if name is not None and name.state in wanted)

    @contextlib.contextmanager
    def unruled(
        self,
        receiver: Receiver | str,
        *,
        server: Command = UVICORN,
        paired: bool = True,
        keep: bool = True,
        **variables: str,
    ) -> Iterator[Service]:
        """The same without the rule: for those who are not under the fault."""
        port = free_port()
        log = self.folder / f"{port}.log"
        endpoint = receiver if isinstance(receiver, str) else receiver.url
        environment = self._environment(endpoint, variables)
        with running(server(port), log, port=port, **environment) as child:
            child.wait_until_it_answers("/ready")
            service = Service(child, self.neighbour if paired else None, keep=keep)
            if isinstance(receiver, Receiver):
                service.receivers.append(receiver)
            service.hit(20)
            service.pairs.clear()
            service.warm_up()
            yield service

    def _environment(self, endpoint: str, variables: Mapping[str, str]) -> dict[str, str]:
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "BLOGAUTO_OTEL_SPOOL_DIR": str(self.spool)}
        return {**VARIABLES, **where, **variables}

    def program(self, name: str, receiver: Receiver | str = "", *words: str, **variables: str) -> Program:
        """Run a script of `tests/faults/programs` to its end."""
        endpoint = receiver if isinstance(receiver, str) else receiver.url
        log = self.folder / f"{name}.log"
        environment = self._environment(endpoint, variables)
        with running(python("-m", f"tests.faults.programs.{name}", *words), log, **environment) as child:  # type: ignore[arg-type]
            code = child.wait()
            seconds = time.monotonic() - child.started
        return Program(code, seconds, child.output)


@dataclass(frozen=True)
class Program:
    """A script that has ended."""

    code: int
    seconds: float
    output: str

    @property
    def said(self) -> Any:
        """What it printed as its last word, in JSON behind `SAID `.

        Raises:
            AssertionError: it did not come that far.
        """
        found = re.findall(r"^SAID (.*)$", self.output, re.MULTILINE)
        assert found, self.output
        return json.loads(found[-1])

    @property
    def own_lines(self) -> list[Line]:
        return [line for line in read_lines(self.output) if line.logger.partition(".")[0] == "blogauto_otel"]


@contextlib.contextmanager
def neighbourhood(folder: Path) -> Iterator[Asking]:
    """The neighbour: the same application with a receiver that takes everything."""
    with Receiver() as receiver:
        port = free_port()
        variables = {
            **VARIABLES,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "BLOGAUTO_OTEL_SPOOL_DIR": str(folder / "spool"),
        }
        with running(UVICORN(port), folder / "neighbour.log", port=port, **variables) as child:
            child.wait_until_it_answers("/ready")
            yield Asking(port)


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for something that no receiver sees."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)
