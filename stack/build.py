"""Build the real programs once into a cache: Collector, Prometheus, Alertmanager, Jaeger (Go), a Kafka broker (Maven).

`python stack/build.py` builds what is missing and prints where it is. Each program is keyed by the hash of its manifest
(sources or module checksum, pins, edits, flags): a changed pin causes a rebuild. Concurrent runs are safe. Without Go,
but with a Docker engine, the programs are copied out of the pinned images of docker-compose.yml. Only the standard
library is used: this runs before any environment exists.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yml"
MINIMUM_GO = (1, 26)
MINIMUM_JAVA = 17
Report = Callable[[str], None]


class BuildError(RuntimeError):
    """A program cannot be built; the message is one sentence of cause and one of what to do."""


@dataclass(frozen=True)
class Edit:
    """One replacement in a copied module: `old` must occur in each file."""

    files: tuple[str, ...]
    old: str
    new: str


@dataclass(frozen=True)
class Module:
    """A published module that is copied, edited, and compiled with its own go.mod and go.sum."""

    path: str
    checksum: str  # as the module's go.sum line has it
    edits: tuple[Edit, ...] = ()
    added: Mapping[str, str] = field(default_factory=dict)  # files missing from the module
    pins: Path | None = None  # folder with a go.mod and go.sum that replace the module's own


@dataclass(frozen=True)
class Jars:
    """Published Java archives that one script runs: the dependencies of a pom.xml, compared with jars.sha256."""

    folder: Path


@dataclass(frozen=True)
class Program:
    """A program: its sources and executables."""

    name: str
    version: str
    source: Path | Module | Jars
    packages: Mapping[str, str]  # executable -> Go package; of Jars: script -> file in their folder
    service: str = ""  # of docker-compose.yml, whose image holds the same program
    in_image: Mapping[str, str] = field(default_factory=dict)  # executable -> path in that image
    tags: str = ""
    cold_minutes: str = ""


# `ToClientConn` and `ToServer` take the extensions since Collector 0.142; Jaeger 2.13 uses the earlier signatures.
JAEGER_EDITS = (
    Edit(
        ("internal/storage/v2/grpc/factory.go",),
        "ToClientConn(ctx, f.telset.Host,",
        "ToClientConn(ctx, f.telset.Host.GetExtensions(),",
    ),
    Edit(
        ("internal/storage/v1/grpc/factory.go",),
        "ToClientConn(context.Background(), f.telset.Host,",
        "ToClientConn(context.Background(), f.telset.Host.GetExtensions(),",
    ),
    Edit(
        (
            "cmd/jaeger/internal/extension/expvar/extension.go",
            "cmd/jaeger/internal/extension/remotesampling/extension.go",
        ),
        "ToServer(ctx, host,",
        "ToServer(ctx, host.GetExtensions(),",
    ),
    Edit(
        ("cmd/query/app/server.go", "cmd/remote-storage/app/server.go"),
        "\t\ttelset.Host,\n",
        "\t\ttelset.Host.GetExtensions(),\n",
    ),
    # An absent `queue` must stay "no queue": dropping the option compiles, but then no configuration starts.
    Edit(
        ("cmd/jaeger/internal/exporters/storageexporter/config.go",),
        "exporterhelper.QueueBatchConfig `",
        "configoptional.Optional[exporterhelper.QueueBatchConfig] `",
    ),
    Edit(
        ("cmd/jaeger/internal/exporters/storageexporter/config.go",),
        '\t"go.opentelemetry.io/collector/config/configretry"',
        '\t"go.opentelemetry.io/collector/config/configoptional"\n\t"go.opentelemetry.io/collector/config/configretry"',
    ),
)

PROGRAMS = (
    Program(
        name="collector",
        version="0.161.0",
        source=ROOT / "collector" / "distribution",
        packages={"otelcol": "."},
        service="otel-collector",
        in_image={"otelcol": "/otelcol-contrib"},
        tags="grpcnotrace,remove_all_sd",
        cold_minutes="3",
    ),
    Program(
        name="prometheus",
        version="3.16.0",
        source=Module(
            "github.com/prometheus/prometheus@v0.316.0",
            "h1:f1GRFerhTMKQma+awCoC9T820ecWeGSdF+xAlMHzZzM=",
        ),
        packages={"prometheus": "./cmd/prometheus", "promtool": "./cmd/promtool"},
        service="prometheus",
        in_image={"prometheus": "/bin/prometheus", "promtool": "/bin/promtool"},
        tags="remove_all_sd",
        cold_minutes="4",
    ),
    Program(
        name="alertmanager",
        version="0.34.1",
        source=Module(
            "github.com/prometheus/alertmanager@v0.34.1",
            "h1:qtIIP4s20duq2fbafHIti5NYJGaZNh7irXKbJwe/W/E=",
            # It embeds a generated user interface that the module does not contain; a placeholder page replaces it.
            added={"ui/app/dist/index.html": "<!doctype html><title>Alertmanager</title>\n"},
        ),
        packages={"alertmanager": "./cmd/alertmanager", "amtool": "./cmd/amtool"},
        service="alertmanager",
        in_image={"alertmanager": "/bin/alertmanager", "amtool": "/bin/amtool"},
        cold_minutes="1",
    ),
    Program(
        name="jaeger",
        version="2.13.0",
        source=Module(
            "github.com/jaegertracing/jaeger@v1.76.0",  # Go's name of 2.13.0
            "h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g=",
            edits=JAEGER_EDITS,
            pins=ROOT / "stack" / "jaeger",
        ),
        packages={"jaeger": "./cmd/jaeger"},
        service="jaeger",
        in_image={"jaeger": "/cmd/jaeger/jaeger-linux"},
        cold_minutes="5",
    ),
)

# The library with which `docker compose` loads its files, as a program for tests on machines without Docker.
COMPOSE_CONFIG = Program(
    name="compose-config",
    version="2.16.2",
    source=ROOT / "stack" / "compose",
    packages={"compose-config": "."},
    cold_minutes="1",
)

# Renders and checks the chart of deploy/kubernetes/ in the tests.
HELM = Program(
    name="helm",
    version="4.3.1",
    source=Module("helm.sh/helm/v4@v4.3.1", "h1:UndCoLe9UPmNoL7IvWzaUXveL7T5t/ijoorEmgJdI9g="),
    packages={"helm": "./cmd/helm"},
    cold_minutes="4",
)
# Only tests of the Kafka overlays need it: no service of docker-compose.yml is a broker.
KAFKA = Program(
    name="kafka",
    version="4.1.1",
    source=Jars(ROOT / "stack" / "kafka"),
    packages={"kafka": "kafka.sh"},
    cold_minutes="1",
)


def cache_root() -> Path:
    """The folder of the built programs: `BLOGAUTO_OTEL_STACK_CACHE`, else the user's cache directory."""
    configured = os.environ.get("BLOGAUTO_OTEL_STACK_CACHE")
    if configured:
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "blogauto_otel-stack"


def manifest_hash(program: Program) -> str:
    """Twelve hex digits over everything that determines the executables, except the Go release."""
    source = program.source
    folder = source if isinstance(source, Path) else source.folder if isinstance(source, Jars) else source.pins
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()) if folder else ():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    fixed = (
        (source.path, source.checksum, source.edits, sorted(source.added.items())) if isinstance(source, Module) else ()
    )
    digest.update(repr((sorted(program.packages.items()), program.tags, fixed)).encode())
    digest.update(f"{platform.system()} {platform.machine()}".encode())
    return digest.hexdigest()[:12]


def directory(program: Program) -> Path:
    """The folder that holds the program's executables once it is built."""
    return cache_root() / f"{program.name}-{program.version}-{manifest_hash(program)}"


def missing(programs: Sequence[Program] = PROGRAMS) -> list[Program]:
    """The programs that are not in the cache."""
    return [program for program in programs if not directory(program).is_dir()]


def ensure(programs: Sequence[Program] = PROGRAMS, report: Report = print) -> dict[str, Path]:
    """Every executable by name, building what is missing; one line of `report` per program.

    Raises:
        BuildError: Go is missing or too old and no Docker engine can stand in, or a module or compilation failed.
    """
    executables: dict[str, Path] = {}
    for number, program in enumerate(programs, start=1):
        target = directory(program)
        label = f"[{number}/{len(programs)}] {program.name} {program.version}"
        with _locked(target):
            if not target.is_dir():
                started = time.monotonic()
                how = _provision(program, target, lambda text, label=label: report(f"{label}: {text}"))  # type: ignore[misc]
                report(f"{label}: {how} in {time.monotonic() - started:.0f} s, {target}")
            else:
                report(f"{label}: ready, {target}")
        executables.update({name: target / name for name in program.packages})
    return executables


def _provision(program: Program, target: Path, report: Report) -> str:
    work = Path(tempfile.mkdtemp(prefix=f".{program.name}-", dir=target.parent))
    try:
        (work / "bin").mkdir()
        how = _obtain(program, work, report)
        (work / "bin").rename(target)  # atomic: a folder appears complete or not at all
        return how
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _obtain(program: Program, work: Path, report: Report) -> str:
    if isinstance(program.source, Jars):
        _download(program, program.source, work, report)
        return "downloaded"
    problem = go_problem()
    if problem is None:
        report(f"building with Go (about {program.cold_minutes} min when the module cache is cold)")
        _build(program, work)
        return "built"
    if program.service and docker_serves():
        report(f"{problem}; copying from the image of docker-compose.yml")
        _copy_from_image(program, work)
        return "copied"
    raise BuildError(
        f"The real {program.name} is needed and {problem}. Install Go {MINIMUM_GO[0]}.{MINIMUM_GO[1]} or newer, "
        "or start a Docker engine (Linux), and run this again."
    )


def go_problem() -> str | None:
    """Why Go cannot build the programs here, or None."""
    try:
        printed = subprocess.run(["go", "version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "Go is not installed"
    match = re.search(r"go(\d+)\.(\d+)", printed)
    if match is None or (int(match[1]), int(match[2])) < MINIMUM_GO:
        return f"Go is too old ({printed.strip()})"
    return None


def java_problem() -> str | None:
    """Why the jars cannot be had or run here, or None."""
    if shutil.which("mvn") is None:
        return "Maven is not installed"
    try:
        printed = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return "Java is not installed"
    match = re.search(r'version "(\d+)', printed)
    if match is None or int(match[1]) < MINIMUM_JAVA:
        return f"Java is too old ({printed.splitlines()[0]})"
    return None


def docker_serves() -> bool:
    """Whether a Docker engine answers, and its Linux programs run on this machine."""
    if platform.system() != "Linux" or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=30).returncode == 0


def _build(program: Program, work: Path) -> None:
    module = work / "module"
    if isinstance(program.source, Module):
        _prepare(program.name, program.source, module)
    elif isinstance(program.source, Path):
        shutil.copytree(program.source, module)
    command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
    if program.tags:
        command += ["-tags", program.tags]
    for executable, package in program.packages.items():
        _go(program.name, [*command, "-o", str(work / "bin" / executable), package], module)


def _download(program: Program, source: Jars, work: Path, report: Report) -> None:
    problem = java_problem()
    if problem is not None:
        raise BuildError(
            f"The real {program.name} is needed and {problem}. Install Java {MINIMUM_JAVA} or newer and Maven "
            "(Debian: openjdk-17-jre-headless, maven), and run this again."
        )
    report(f"downloading with Maven (about {program.cold_minutes} min)")
    library = work / "bin" / "lib"
    pom = str(shutil.copy(source.folder / "pom.xml", work))
    command = ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={library}"]
    _run(program.name, [*command, "-DincludeScope=runtime"], work, os.environ)
    compare(library, source.folder / "jars.sha256")
    for script, file in program.packages.items():
        shutil.copy(source.folder / file, work / "bin" / script)
        (work / "bin" / script).chmod(0o755)


def compare(library: Path, sums: Path) -> None:
    """Check that a folder holds exactly the files of a list as `sha256sum` prints it.

    Raises:
        BuildError: a file is missing, additional or different.
    """
    wanted = {(name, digest) for digest, name in map(str.split, sums.read_text().splitlines())}
    found = {(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in library.glob("*")}
    if found != wanted:
        names = ", ".join(sorted({name for name, _digest in found ^ wanted}))
        raise BuildError(f"Downloaded files are not those of {sums}: {names}. They were not kept.")


def _prepare(program: str, source: Module, target: Path) -> None:
    answer = json.loads(_go(program, ["go", "mod", "download", "-json", source.path], target.parent))
    if answer["Sum"] != source.checksum:
        raise BuildError(f"{source.path} has the checksum {answer['Sum']}, not {source.checksum}; it was not built.")
    shutil.copytree(answer["Dir"], target)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)  # the module cache is read-only
    for edit in source.edits:
        for name in edit.files:
            apply(edit, target / name)
    for name, text in source.added.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    if source.pins is not None:
        shutil.copytree(source.pins, target, dirs_exist_ok=True)


def apply(edit: Edit, path: Path) -> None:
    """Make one edit; fail when the text does not match.

    Raises:
        BuildError: the text does not occur.
    """
    text = path.read_text()
    if edit.old not in text:
        raise BuildError(f"{path} is not the file this edit was written for: it has no {edit.old!r}.")
    path.write_text(text.replace(edit.old, edit.new))


def _go(program: str, command: Sequence[str], where: Path) -> str:
    return _run(program, command, where, {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"})


def _run(program: str, command: Sequence[str], where: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    log = cache_root() / f"{program}.log"
    log.write_text(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}")
    raise BuildError(f"{program}: {_cause(done.stdout + done.stderr)}; the whole output is in {log}.")


def _cause(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if not line.startswith("go: downloading")] or [
        "it said nothing"
    ]
    unreachable = re.search(r"dial tcp|no such host|i/o timeout|40[34]|410 Gone|unexpected EOF|TLS handshake", output)
    if unreachable:
        return f"a module could not be had ({lines[-1].strip()}): check the network and GOPROXY, then run this again"
    return f"it could not be built ({lines[-1].strip()})"


def _copy_from_image(program: Program, work: Path) -> None:
    image = image_of(program.service)
    container = _docker("create", image).strip()
    try:
        for executable, inside in program.in_image.items():
            _docker("cp", f"{container}:{inside}", str(work / "bin" / executable))
    finally:
        _docker("rm", container)


def image_of(service: str) -> str:
    """The pinned image of a compose service, read without a YAML parser.

    Raises:
        BuildError: docker-compose.yml has no such service.
    """
    match = re.search(
        rf"^  {re.escape(service)}:\n(?:    .*\n|\n)*?    image: (\S+)", COMPOSE.read_text(), re.MULTILINE
    )
    if match is None:
        raise BuildError(f"docker-compose.yml has no image for the service {service}.")
    return match[1]


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"docker {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the named programs (all by default); 1 with one message on failure."""
    # With Docker instead of Go, `docker compose config` replaces COMPOSE_CONFIG; Helm is on PATH or missing.
    programs = [*PROGRAMS, *([COMPOSE_CONFIG, HELM] if go_problem() is None else [])]
    known = {program.name: program for program in (*programs, KAFKA)}
    by_default = [name for name in known if name != KAFKA.name or java_problem() is None]
    parser = argparse.ArgumentParser(description="Build the real programs of the stack into a cache.")
    parser.add_argument("program", nargs="*", help=f"of {', '.join(known)}; by default all, kafka only where Java is")
    chosen = parser.parse_args(arguments).program or by_default
    if not known.keys() >= set(chosen):
        parser.error(f"unknown program; choose from {', '.join(known)}")
    try:
        ensure([known[name] for name in chosen], lambda line: print(line, flush=True))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
