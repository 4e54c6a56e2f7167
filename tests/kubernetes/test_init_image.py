"""The init image for the OpenTelemetry Operator: built by the Dockerfile's script, injected as the operator does it.

No container engine runs here: the script of the Dockerfile is run as it stands, and the operator's steps (copy,
PYTHONPATH, variables) are made by hand, after its sources (internal/instrumentation/python.go).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.environments import environment as application_environment
from testkit.ports import free_port
from testkit.processes import ROOT, environment, eventually, running
from testkit.receiver import Receiver
from tests.kubernetes.objects import documents, pick
from tools import kubernetes

pytestmark = pytest.mark.slow

MOUNT = "otel-auto-instrumentation-python"
SCRIPT = kubernetes.FOLDER / "install.sh"
DOCKERFILE = (kubernetes.FOLDER / "Dockerfile").read_text()
STRANGER = """
from fastapi import FastAPI
app = FastAPI()

@app.get("/hello/{name}")
def hello(name: str):
    return {"hello": name}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the image's file system, made by the Dockerfile's own line."""
    assert "RUN ./install.sh . /out" in DOCKERFILE
    folder = tmp_path_factory.mktemp("image")
    source = tmp_path_factory.mktemp("source")
    for name, target in copied():
        copy(ROOT / name, source / target)
    subprocess.run([str(SCRIPT), str(source), str(folder)], check=True, env={**environment(), "PYTHON": sys.executable})
    return folder


def copied() -> list[tuple[str, str]]:
    """What the Dockerfile copies from the checkout, and where to."""
    lines = re.findall(r"^COPY (?!--from)(.+) (\S+)$", DOCKERFILE, re.MULTILINE)
    return [(name, target) for names, target in lines for name in names.split()]


def copy(path: Path, target: Path) -> None:
    """As the Dockerfile's COPY: the content of a folder, or a file."""
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def inject(image: Path, pod: Path, *, platform: str = "glibc", existing: str = "") -> dict[str, str]:
    """What the operator does to a pod: copies one folder into a volume, and sets variables."""
    folder = {"glibc": "autoinstrumentation", "musl": "autoinstrumentation-musl"}[platform]
    volume = pod / MOUNT
    volume.mkdir()
    subprocess.run(["cp", "-r", f"{image / folder}/.", str(volume)], check=True)
    paths = [str(volume / "opentelemetry" / "instrumentation" / "auto_instrumentation"), existing, str(volume)]
    (python,) = [
        one["spec"]["python"]
        for one in documents((kubernetes.RENDERED / "instrumentation.yaml").read_text())
        if one["kind"] == "Instrumentation"
    ]
    return {
        "PYTHONPATH": ":".join(filter(None, paths)),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_SERVICE_NAME": "stranger",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.uid=u-1,service.instance.id=shop.stranger-1.app",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
        **{one["name"]: one["value"] for one in python["env"]},
    }


@pytest.mark.parametrize("platform", ["glibc", "musl"])
def test_a_pod_with_the_annotation_sends_telemetry_and_its_application_knows_nothing_of_it(
    platform: str, image: Path, tmp_path: Path
) -> None:
    python = application_environment("stranger-in-a-pod", "fastapi", "uvicorn")
    variables = inject(image, tmp_path, platform=platform, existing=str(tmp_path / "libraries"))
    (tmp_path / "main.py").write_text(STRANGER)
    port = free_port()
    served = [str(python.with_name("uvicorn")), "main:app", "--port", str(port), "--app-dir", str(tmp_path)]
    with Receiver() as receiver:
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        with running(served, tmp_path / "log", port=port, **variables) as child:
            child.wait_until_it_answers("/hello/world")
            assert child.get("/hello/world") == (200, b'{"hello":"world"}')
            names = eventually(
                lambda: {span.name for span in receiver.spans},
                lambda found: "GET /hello/{name}" in found,
                what=child.output,
            )
            child.terminate()
        assert names == {"GET /hello/{name}"}, "one span for a request"
        resource = receiver.resources[0]
        assert resource["service.name"] == "stranger"
        assert resource["telemetry.distro.name"] == "blogauto_otel"
        assert resource["service.instance.id"] == "shop.stranger-1.app", "the operator's"
        assert receiver.total("blogauto.api.requests") >= 1


def test_a_python_program_without_a_web_framework_runs_on_unchanged(image: Path, tmp_path: Path) -> None:
    python = application_environment("stranger-in-a-pod", "fastapi", "uvicorn")
    variables = {**environment(), **inject(image, tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [str(python), "-c", "print('result')"], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "result\n")


@pytest.mark.parametrize("platform", ["autoinstrumentation", "autoinstrumentation-musl"])
def test_the_folders_have_what_the_operator_puts_on_pythonpath_for_every_python(image: Path, platform: str) -> None:
    folder = image / platform
    assert (folder / "opentelemetry" / "instrumentation" / "auto_instrumentation" / "sitecustomize.py").is_file()
    assert (folder / "blogauto_otel" / "__init__.py").is_file()
    compiled = {path.parent.name for path in folder.rglob("*.so")}
    assert compiled <= {"wrapt"}, "what is compiled fits one Python only; wrapt does without"
    assert all(path.stat().st_mode & 0o004 for path in folder.rglob("*")), "any user may copy it"
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 20_000_000, "the operator's volume has 200 MiB"


def test_the_compiled_part_of_each_folder_is_of_its_c_library(image: Path) -> None:
    tags = {
        name: " ".join(path.read_text() for path in (image / name).glob("wrapt-*.dist-info/WHEEL"))
        for name in ("autoinstrumentation", "autoinstrumentation-musl")
    }
    assert "manylinux" in tags["autoinstrumentation"]
    assert "musllinux" in tags["autoinstrumentation-musl"]


def test_the_instrumentation_names_the_agents_service_by_http() -> None:
    rendered = documents(*(path.read_text() for path in sorted(kubernetes.RENDERED.glob("*.yaml"))))
    instrumentation = pick(rendered, "Instrumentation", "otel")
    service = pick(rendered, "Service", "otel-agent")
    assert instrumentation["spec"]["exporter"]["endpoint"] == "http://otel-agent.observability.svc:4318"
    assert {"port": 4318}.items() <= next(one for one in service["spec"]["ports"] if one["name"] == "otlp-http").items()


def test_the_image_copies_files_that_dockerignore_admits() -> None:
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, _ in copied():
        assert (ROOT / name).exists(), name
        assert {name, name.split("/")[0]} & {*admitted}, name
