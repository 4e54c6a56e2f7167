"""Renders each board as one picture, from the recorded traffic."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from monitoring.generate import DASHBOARDS
from monitoring.languages import ENGLISH
from monitoring.lint.boards import Board, panels
from monitoring.node import packages
from monitoring.repository_files import files_in
from monitoring.verification.day import BEGIN, END, RecordedTraffic, record_day
from monitoring.verification.panels import run_queries, step
from monitoring.verification.replay import LogLine
from monitoring.verification.store import prometheus_with
from stack.processes import Prometheus

HERE: Final = Path(__file__).parent
SOURCES: Final = ("board.jsx", "scrollbars.mjs")
WIDTH: Final = 1532
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
# A diamond for every request would hide the lines.
MOST_EXEMPLARS: Final = 60
GAP: Final = 120  # seconds without a result, after which the next is a new mark


def render_boards(out: Path, language: str = ENGLISH, only: Sequence[str] | None = None) -> int:
    """Record traffic, run every query, and write one PNG for each board; 1 when a panel could not be drawn.

    Args:
        out: the folder of the pictures.
        language: of the boards; a picture in another language than English is called `board-api.ko.png`.
        only: names of boards, such as `api`; without it, all.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print("Chromium is not installed (Debian: apt-get install chromium).", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        script = _bundle(work)
        print("recording traffic", flush=True)
        (work / "recording").mkdir()
        traffic = record_day(work / "recording")
        with prometheus_with(traffic, work / "store") as prometheus:
            pages = {
                uid: _page_data(board, traffic, prometheus)
                for uid, board in _boards(language).items()
                if only is None or uid.split("-", 1)[1] in only
            }
        suffix = "" if language == ENGLISH else f".{language}"
        failed = [uid for uid, data in pages.items() if not _picture(uid + suffix, data, script, browser, work, out)]
    return 1 if failed else 0


def _boards(language: str) -> Mapping[str, Board]:
    files = {Path(path): text for path, text in files_in(language).items() if path.startswith(DASHBOARDS)}
    return {path.stem: json.loads(text) for path, text in files.items()}


def _bundle(work: Path) -> str:
    modules = packages("render")
    for name in SOURCES:
        shutil.copy(HERE / name, modules)  # beside node_modules, where imports are looked up
    target = work / "board.js"
    command = [
        str(modules / "node_modules" / ".bin" / "esbuild"),
        SOURCES[0],
        "--bundle",
        "--minify",
        f"--outfile={target}",
        "--loader:.svg=text",
        "--loader:.css=text",
        '--define:process.env.NODE_ENV="production"',
        "--external:monaco-editor",
        "--alias:react-custom-scrollbars-2=./scrollbars.mjs",
        "--log-level=error",
    ]
    subprocess.run(command, cwd=modules, check=True)
    return target.name


def _page_data(board: Board, traffic: RecordedTraffic, prometheus: Prometheus) -> dict[str, Any]:
    answers: dict[int, list[dict[str, Any]]] = {}
    marks: list[dict[str, Any]] = []
    for answer in run_queries(prometheus, {str(board["uid"]): board}):
        if answer.panel["type"] == "annotation":
            marks += _marks(answer.result, board, answer.panel["title"])
        else:
            one = {"target": dict(answer.target), "result": answer.result, "step": step(answer.panel)}
            answers.setdefault(int(answer.panel["id"]), []).append(one)
    return {
        "board": board,
        "answers": answers,
        "marks": marks,
        "exemplars": _exemplars(traffic),
        "logs": {panel["id"]: list(_logs(traffic.logs, panel)) for panel in panels(board) if panel["type"] == "logs"},
        "range": [BEGIN, END],
    }


def _marks(result: Sequence[Mapping[str, Any]], board: Board, title: str) -> Iterator[dict[str, Any]]:
    colours = {f"annotation {one['name']}": one["iconColor"] for one in board["annotations"]["list"]}
    for series in result:
        times = [int(time) for time, _ in series["values"]]
        for before, time in zip([0, *times], times, strict=False):
            if time - before > GAP:
                yield {"time": time * 1000, "colour": colours[title]}


def _exemplars(traffic: RecordedTraffic) -> list[dict[str, Any]]:
    """The slowest of each histogram, and some of the others."""
    found: dict[str, list[dict[str, Any]]] = {}
    for when, exemplar in traffic.exemplars:
        one = {"time": when * 1000, "value": exemplar.value, "metric": exemplar.name}
        found.setdefault(exemplar.name, []).append(one)
    chosen = []
    for exemplars in found.values():
        slowest = sorted(exemplars, key=lambda exemplar: -exemplar["value"])
        chosen += [*slowest[:10], *slowest[10 :: max(1, len(slowest) // MOST_EXEMPLARS)]]
    return chosen


def _logs(lines: Sequence[LogLine], panel: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines by level and, where the query has them, by words or by our scope: an approximation of what Loki would select."""
    expr = panel["targets"][0]["expr"]
    words = expr.split("(?i)")[1].split('"')[0].split("|") if "(?i)" in expr else [""]
    own = "scope_name" in expr
    for line in reversed(lines):
        serious = line.level in {"warning", "warn", "error", "critical"}
        is_wanted = line.scope.startswith("blogauto_otel") if own else any(word in line.text.lower() for word in words)
        if serious and is_wanted:
            yield {"time": line.time, "level": line.level, "text": line.text, "trace_id": line.trace_id}


def _picture(uid: str, data: Mapping[str, Any], script: str, browser: str, work: Path, out: Path) -> bool:
    page = work / f"{uid}.html"
    embedded = json.dumps(data).replace("</", "<\\/")
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><body><div id="board"></div><script>window.BOARD_DATA={embedded}</script><script src="{script}"></script>'
    )
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in data["board"]["panels"]) * 38 + 90
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=8000"]
    common += ["--allow-file-access-from-files", f"--window-size={WIDTH},{height}"]
    dom = subprocess.run([*common, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True).stdout
    out.mkdir(parents=True, exist_ok=True)
    target = (out / f"board-{uid.split('-', 1)[1]}.png").resolve()
    subprocess.run([*common, f"--screenshot={target}", page.as_uri()], capture_output=True, check=True)
    subprocess.run(["node", str(HERE / "quantize.mjs"), str(packages("render")), str(target)], check=True)
    broken = dom.count('class="broken"')
    print(
        f"{target.name}: {len(panels(data['board']))} panels, {broken} not drawn, {target.stat().st_size // 1024} kB",
        flush=True,
    )
    return broken == 0
