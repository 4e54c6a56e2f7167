"""The builder, against a Go and a Docker that are shell scripts: what it runs, what it keeps, what it says."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stack import build

# Answers like Go, notes each call, and "compiles" by writing the file after -o.
FAKE_GO = """#!/bin/sh
echo "$@" >> "$FAKE_CALLS"
case "$1" in
    version) echo "go version go${FAKE_GO_VERSION:-1.26.8} linux/amd64"; exit 0;;
    mod) echo "{\\"Dir\\": \\"$FAKE_MODULE\\", \\"Sum\\": \\"${FAKE_SUM:-h1:right}\\"}"; exit 0;;
esac
if [ -n "$FAKE_FAILURE" ]; then echo "$FAKE_FAILURE" >&2; exit 1; fi
sleep "${FAKE_SECONDS:-0}"
while [ "$1" != "-o" ]; do shift; done
echo program > "$2"
"""

FAKE_DOCKER = """#!/bin/sh
echo "$@" >> "$FAKE_CALLS"
case "$1" in
    create) echo container-1;;
    cp) echo "from $2" > "$3";;
esac
"""


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, beside the shell's own tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    module = tmp_path / "module"
    module.mkdir()
    (module / "main.go").write_text("package old\n")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("BLOGAUTO_OTEL_STACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAKE_MODULE", str(module))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(script)
    path.chmod(0o755)


def calls(tmp_path: Path, beginning: str) -> list[str]:
    return [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith(beginning)]


def program(tmp_path: Path, source: Path | build.Module | None = None) -> build.Program:
    sources = tmp_path / "sources"
    sources.mkdir(exist_ok=True)
    (sources / "go.mod").write_text("module thing\n")
    return build.Program(
        name="thing",
        version="1.2.3",
        source=source or sources,
        packages={"thing": ".", "tool": "./cmd/tool"},
        service="prometheus",
        in_image={"thing": "/bin/thing", "tool": "/bin/tool"},
    )


def test_a_program_is_built_once(bin_folder: Path, tmp_path: Path) -> None:
    install(bin_folder, "go", FAKE_GO)
    lines: list[str] = []
    first = build.ensure([program(tmp_path)], lines.append)
    second = build.ensure([program(tmp_path)], lines.append)
    assert first == second
    assert first["thing"].read_text() == first["tool"].read_text() == "program\n"
    assert len(calls(tmp_path, "build")) == 2, "one for each executable"
    assert lines[-1].startswith("[1/1] thing 1.2.3: ready, ")


def test_each_program_has_its_progress_line(bin_folder: Path, tmp_path: Path) -> None:
    install(bin_folder, "go", FAKE_GO)
    lines: list[str] = []
    build.ensure([program(tmp_path)], lines.append)
    assert lines[0].startswith("[1/1] thing 1.2.3: building with Go")
    assert re.match(r"\[1/1\] thing 1\.2\.3: built in \d+ s, ", lines[1])


def test_a_changed_pin_causes_a_new_build(bin_folder: Path, tmp_path: Path) -> None:
    install(bin_folder, "go", FAKE_GO)
    before = build.ensure([program(tmp_path)], lambda _: None)
    changed = program(tmp_path)
    (tmp_path / "sources" / "go.sum").write_text("other\n")
    assert build.missing([changed]) == [changed]
    assert build.ensure([changed], lambda _: None)["thing"] != before["thing"]


def test_a_changed_flag_causes_a_new_build(bin_folder: Path, tmp_path: Path) -> None:
    plain = program(tmp_path)
    assert build.directory(plain) != build.directory(dataclasses.replace(plain, tags="remove_all_sd"))


def test_two_terminals_build_once(bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(bin_folder, "go", FAKE_GO)
    monkeypatch.setenv("FAKE_SECONDS", "0.5")
    script = (
        "from pathlib import Path; from stack import build; from tests.stack.test_programs_build import program;"
        f"build.ensure([program(Path({str(tmp_path)!r}))], lambda _: None)"
    )
    terminals = [subprocess.Popen([sys.executable, "-c", script], cwd=build.ROOT) for _ in range(2)]
    assert [terminal.wait(60) for terminal in terminals] == [0, 0]
    assert len(calls(tmp_path, "build")) == 2, "one for each executable, not for each terminal"


def test_a_failed_build_leaves_nothing_that_looks_built(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bin_folder, "go", FAKE_GO)
    monkeypatch.setenv("FAKE_FAILURE", "main.go:3:1: syntax error")
    with pytest.raises(build.BuildError, match=r"thing: it could not be built \(main.go:3:1: syntax error\)"):
        build.ensure([program(tmp_path)], lambda _: None)
    assert build.missing([program(tmp_path)])
    assert {path.name for path in build.cache_root().iterdir() if not path.name.endswith(".lock")} == {"thing.log"}
    monkeypatch.delenv("FAKE_FAILURE")
    assert build.ensure([program(tmp_path)], lambda _: None)["thing"].exists()


def test_a_module_that_cannot_be_downloaded_is_reported(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bin_folder, "go", FAKE_GO)
    monkeypatch.setenv("FAKE_FAILURE", "main.go:5:2: example.org/x@v1.0.0: dial tcp: lookup example.org: no such host")
    with pytest.raises(build.BuildError, match=r"a module could not be had .* check the network and GOPROXY"):
        build.ensure([program(tmp_path)], lambda _: None)


def test_a_module_is_copied_changed_and_compiled(bin_folder: Path, tmp_path: Path) -> None:
    install(bin_folder, "go", FAKE_GO)
    edit = build.Edit(("main.go",), "package old", "package new")
    source = build.Module("example.org/thing@v1", "h1:right", (edit,), {"ui/page.html": "<html>"})
    assert build.ensure([program(tmp_path, source)], lambda _: None)["thing"].exists()
    assert (tmp_path / "module" / "main.go").read_text() == "package old\n", "the module cache stays as it was"


def test_a_module_with_another_checksum_is_not_built(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bin_folder, "go", FAKE_GO)
    monkeypatch.setenv("FAKE_SUM", "h1:wrong")
    with pytest.raises(build.BuildError, match="has the checksum h1:wrong, not h1:right"):
        build.ensure([program(tmp_path, build.Module("example.org/thing@v1", "h1:right"))], lambda _: None)
    assert calls(tmp_path, "build") == []


def test_an_edit_that_no_longer_fits_is_refused(bin_folder: Path, tmp_path: Path) -> None:
    install(bin_folder, "go", FAKE_GO)
    source = build.Module("example.org/thing@v1", "h1:right", (build.Edit(("main.go",), "elsewhere", "x"),))
    with pytest.raises(build.BuildError, match="it has no 'elsewhere'"):
        build.ensure([program(tmp_path, source)], lambda _: None)


@pytest.mark.parametrize(
    ("go", "problem"), [(None, "Go is not installed"), ("1.25.9", r"Go is too old \(go version go1.25.9 linux/amd64\)")]
)
def test_without_a_usable_go_one_message_says_what_is_needed(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: str | None, problem: str
) -> None:
    monkeypatch.setenv("PATH", f"{bin_folder}:{_tools(tmp_path)}")
    if go is not None:
        install(bin_folder, "go", FAKE_GO)
        monkeypatch.setenv("FAKE_GO_VERSION", go)
    with pytest.raises(build.BuildError, match=f"The real thing is needed and {problem}. Install Go 1.26 or newer, or"):
        build.ensure([program(tmp_path)], lambda _: None)


def test_without_go_the_programs_come_out_of_the_pinned_images(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{bin_folder}:{_tools(tmp_path)}")
    install(bin_folder, "docker", FAKE_DOCKER)
    built = build.ensure([program(tmp_path)], lambda _: None)
    assert built["tool"].read_text() == "from container-1:/bin/tool\n"
    assert calls(tmp_path, "create") == [f"create {build.image_of('prometheus')}"]
    assert calls(tmp_path, "rm") == ["rm container-1"]


# Answers like Maven: writes one file where the dependencies go.
FAKE_MAVEN = """#!/bin/sh
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) folder="${argument#*=}";; esac; done
mkdir -p "$folder" && printf content > "$folder/thing.jar"
"""
CONTENT = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # sha256 of `content`
FAKE_JAVA = """#!/bin/sh
echo 'openjdk version "'"${FAKE_JAVA_VERSION:-17.0.15}"'"' >&2
"""


def jars(tmp_path: Path, *, sums: str = f"{CONTENT}  thing.jar\n") -> build.Program:
    folder = tmp_path / "jars"
    folder.mkdir(exist_ok=True)
    for name, text in {"pom.xml": "<project/>", "jars.sha256": sums, "thing.sh": "#!/bin/sh\n"}.items():
        (folder / name).write_text(text)
    return build.Program(name="thing", version="1", source=build.Jars(folder), packages={"thing": "thing.sh"})


def test_jars_are_downloaded_and_compared_and_run_by_a_script(bin_folder: Path, tmp_path: Path) -> None:
    install(bin_folder, "mvn", FAKE_MAVEN)
    install(bin_folder, "java", FAKE_JAVA)
    script = build.ensure([jars(tmp_path)], lambda _: None)["thing"]
    assert os.access(script, os.X_OK)
    assert (script.parent / "lib" / "thing.jar").read_text() == "content"


@pytest.mark.parametrize("sums", [f"{'0' * 64}  thing.jar\n", "", f"{CONTENT}  thing.jar\n{CONTENT}  other.jar\n"])
def test_other_jars_than_those_of_the_list_are_not_kept(bin_folder: Path, tmp_path: Path, sums: str) -> None:
    install(bin_folder, "mvn", FAKE_MAVEN)
    install(bin_folder, "java", FAKE_JAVA)
    wanted = jars(tmp_path, sums=sums)
    with pytest.raises(
        build.BuildError, match=r"are not those of .*jars\.sha256: (thing|other)\.jar\. They were not kept"
    ):
        build.ensure([wanted], lambda _: None)
    assert build.missing([wanted])


def test_without_a_usable_java_one_message_says_what_is_needed(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{bin_folder}:{_tools(tmp_path)}")
    with pytest.raises(build.BuildError, match=r"Maven is not installed\. Install Java 17 or newer and Maven"):
        build.ensure([jars(tmp_path)], lambda _: None)
    install(bin_folder, "mvn", FAKE_MAVEN)
    install(bin_folder, "java", FAKE_JAVA)
    monkeypatch.setenv("FAKE_JAVA_VERSION", "11.0.2")
    with pytest.raises(build.BuildError, match=r'Java is too old \(openjdk version "11'):
        build.ensure([jars(tmp_path)], lambda _: None)


def _tools(tmp_path: Path) -> Path:
    """The shell's tools without any Go or Docker of this machine."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "sleep", "echo"):
        (folder / name).symlink_to(f"/bin/{name}")
    return folder


def test_the_command_says_its_one_message_and_fails(bin_folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(_tools(tmp_path))}
    command = [sys.executable, str(build.ROOT / "stack" / "build.py"), "jaeger"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The real jaeger is needed and Go is not installed.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("one", build.PROGRAMS, ids=lambda one: one.name)
def test_every_program_has_an_image_that_can_replace_it(one: build.Program) -> None:
    assert re.fullmatch(r"[\w./-]+:v?[\d.]+@sha256:[0-9a-f]{64}", build.image_of(one.service))
    assert one.in_image.keys() == one.packages.keys()


def test_the_committed_sources_are_those_of_the_builder_file() -> None:
    builder = yaml.safe_load((build.ROOT / "collector" / "builder.yaml").read_text())
    sections = ("receivers", "processors", "exporters", "connectors", "extensions", "providers")
    wanted = {entry["gomod"] for section in sections for entry in builder[section]}
    go_mod = (build.ROOT / "collector" / "distribution" / "go.mod").read_text()
    required = {" ".join(line.split()[:2]) for line in go_mod.splitlines() if "// indirect" not in line}
    assert wanted <= required
    components = (build.ROOT / "collector" / "distribution" / "components.go").read_text()
    for gomod in wanted:
        assert gomod.split()[0] in components + (build.ROOT / "collector" / "distribution" / "main.go").read_text()


def test_the_collector_built_is_the_version_that_the_image_has() -> None:
    collector = build.PROGRAMS[0]
    assert f":{collector.version}@" in build.image_of(collector.service)
