"""What the demos draw."""

from __future__ import annotations

import io

from examples import analysis
from examples.terminal import Node, Terminal, duration, fitted, tree
from testkit.receiver import Span

MS = 1_000_000


def node(span_id: str, parent_id: str, start: int, end: int, *, failed: bool = False) -> Node:
    return Node(span_id, parent_id, f"span {span_id}", start * MS, end * MS, failed)


def drawn(nodes: list[Node]) -> list[str]:
    return [prefix + node.label for prefix, node in tree(nodes)]


def test_a_trace_is_a_tree_with_siblings_in_the_order_of_their_start() -> None:
    nodes = [node("c", "a", 5, 6), node("d", "b", 2, 3), node("b", "a", 1, 4), node("a", "", 0, 9)]
    assert drawn(nodes) == ["span a", "├─ span b", "│  └─ span d", "└─ span c"]


def test_a_span_whose_parent_did_not_arrive_is_still_shown() -> None:
    assert drawn([node("b", "elsewhere", 1, 4), node("c", "b", 2, 3)]) == ["span b", "└─ span c"]


def test_the_bar_of_a_span_shows_when_it_ran() -> None:
    stream = io.StringIO()
    Terminal(stream).trace([node("a", "", 0, 100), node("b", "a", 50, 100)])
    whole, half = stream.getvalue().splitlines()
    assert whole.endswith("100.0 ms  " + "█" * 22)
    assert half.endswith("50.0 ms  " + " " * 11 + "█" * 11)


def test_there_is_no_colour_where_no_person_looks() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.heading("Title")
    with terminal.step("work") as words:
        words.append("done")
    terminal.table([("name", "count"), ("a", "1")], right=(1,))
    assert "\x1b" not in stream.getvalue()
    assert "  a         1" in stream.getvalue()


def test_a_stream_that_cannot_show_the_characters_gets_question_marks() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Terminal(stream).line("─ sent ≠ received")
    assert raw.getvalue() == b"? sent ? received\n"


def test_durations_read_as_a_person_says_them() -> None:
    assert [duration(2.214), duration(0.0352), duration(0.0004)] == ["2.21 s", "35.2 ms", "0.4 ms"]


def test_a_long_text_is_cut_where_the_column_ends() -> None:
    assert fitted("abcdef", 4) == "abc…"
    assert fitted("ab", 4) == "ab  "


def test_the_quantile_is_the_one_prometheus_estimates() -> None:
    # histogram_quantile(0.95, ...) of 90 requests up to 0.1 s and 10 between 1 and 2 s: 1 + (95 - 90) / 10
    assert analysis.quantile(0.95, (0.1, 1.0, 2.0), (90, 0, 10, 0)) == 1.5
    assert analysis.quantile(0.5, (0.1, 1.0), (10, 0, 0)) == 0.05


def test_the_quantile_of_values_beyond_the_last_bound_is_that_bound() -> None:
    assert analysis.quantile(0.95, (0.1, 1.0), (0, 0, 7)) == 1.0


def span(name: str, kind: str, **attributes: object) -> Span:
    status = "ERROR" if "error.type" in attributes else "UNSET"
    return Span(name, "t", "s", "", "", kind, 0, 1, attributes, (), (), status, "", 1, 0, 0, 0, "", "", {})


def test_a_line_of_a_trace_says_what_was_asked_and_how_it_ended() -> None:
    failed = {"http.response.status_code": 502, "error.type": "502"}
    assert analysis.node(span("POST /a", "SERVER", **failed), parent_id="").label == "POST /a  → 502"
    statement = span("SELECT users", "CLIENT", **{"db.query.text": "SELECT *\nFROM users"})
    assert analysis.node(statement, parent_id="").label == "SQL SELECT * FROM users"
    call = {"url.full": "http://ai/v1", "http.request.method": "POST", "http.response.status_code": 200}
    assert analysis.node(span("POST", "CLIENT", **call), parent_id="").label == "HTTP POST http://ai/v1  → 200"
