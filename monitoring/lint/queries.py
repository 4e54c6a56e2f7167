"""Checks of PromQL: which series and labels a query reads, which labels its result has, and careless constructs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import promql_parser as pql

from monitoring.metrics import Metric

# Values for Grafana's variables and macros.
MACROS: Final = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "1h",
    "$__auto": "1m",
    "$job": "blogauto-backend",
    "$endpoint": ".+",
}

_RATES: Final = frozenset({"rate", "irate", "increase"})
_RECORDED: Final = re.compile(r"^[a-z_]+:[a-zA-Z0-9_]+:[a-zA-Z0-9_]+$")


def expanded(expr: str, values: Mapping[str, str] = MACROS) -> str:
    """The query as Grafana sends it."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(name, values[name]).replace("${" + name[1:] + "}", values[name])
    return expr


def parsed(expr: str) -> pql.Expr:
    """The tree of an expanded query.

    Raises:
        ValueError: it is not PromQL.
    """
    return pql.parse(expanded(expr))


def nodes(expr: pql.Expr) -> Iterator[pql.Expr]:
    """The expression and everything in it."""
    yield expr
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        child: Any = getattr(expr, name, None)
        if hasattr(child, "prettify"):
            yield from nodes(child)
    if isinstance(expr, pql.Call):
        for argument in expr.args:
            yield from nodes(argument)


def selectors(expr: pql.Expr) -> list[pql.VectorSelector]:
    """Every series that it selects."""
    found = {id(node): node for node in nodes(expr) if isinstance(node, pql.VectorSelector)}
    return list(found.values())


def problems(expr: str, known: Mapping[str, Metric], recorded: frozenset[str]) -> list[str]:
    """What is wrong with a query: syntax, unknown metrics and labels, counters without rate(), `without`, irate()."""
    try:
        tree = parsed(expr)
    except ValueError as error:
        return [f"not PromQL: {error}"]
    return [*_unknown(tree, known, recorded), *_raw_counters(tree, known), *_fragile(tree)]


def _unknown(tree: pql.Expr, known: Mapping[str, Metric], recorded: frozenset[str]) -> Iterator[str]:
    for selector in selectors(tree):
        name = selector.name or ""
        if name in recorded:
            continue
        if name not in known:
            yield f"no metric is called {name}"
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in known[name].labels:
                yield f"{name} has no label {matcher.name}"


def _raw_counters(tree: pql.Expr, known: Mapping[str, Metric]) -> Iterator[str]:
    """A counter needs rate() or increase(); checking whether it exists (`unless`, `and`) does not."""
    counters = {name for name, metric in known.items() if metric.type == "counter"}
    for node in nodes(tree):
        if isinstance(node, pql.Call) and node.func.name in _RATES:
            for argument in node.args:
                for selector in selectors(argument):
                    metric = known.get(selector.name or "")
                    if metric is not None and metric.type != "counter":
                        yield f"{node.func.name}() of {selector.name}, which is a {metric.type}"
        if (
            isinstance(node, pql.AggregateExpr)
            and isinstance(node.expr, pql.VectorSelector)
            and node.expr.name in counters
        ):
            yield f"{node.expr.name} is a counter and is read without rate()"


def _fragile(tree: pql.Expr) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, pql.AggregateExpr) and "without" in str(node.modifier):
            yield "aggregates `without`: a new label would split the result"
        if isinstance(node, pql.Call) and node.func.name == "irate":
            yield "irate(): two samples say nothing about a window"


def result_labels(
    tree: pql.Expr, known: Mapping[str, Metric], recorded: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """The labels that the result may have: what a template may use, and what `by` may name."""
    if isinstance(tree, pql.AggregateExpr):
        return _aggregated(tree, known, recorded)
    if isinstance(tree, pql.VectorSelector):
        name = tree.name or ""
        return recorded.get(name) or (known[name].labels if name in known else frozenset())
    if isinstance(tree, pql.BinaryExpr):
        left, right = (result_labels(side, known, recorded) for side in (tree.lhs, tree.rhs))
        return left | right if str(tree.op) == "or" else left or right
    if isinstance(tree, pql.Call):
        return _called(tree, known, recorded)
    inner = getattr(tree, "expr", None) or getattr(tree, "vector_selector", None)
    return result_labels(inner, known, recorded) if inner is not None else frozenset()


def _aggregated(
    tree: pql.AggregateExpr, known: Mapping[str, Metric], recorded: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    if str(tree.op) in {"topk", "bottomk", "limitk"} and tree.modifier is None:
        return result_labels(tree.expr, known, recorded)
    return frozenset(tree.modifier.labels) if tree.modifier is not None else frozenset()


def _called(tree: pql.Call, known: Mapping[str, Metric], recorded: Mapping[str, frozenset[str]]) -> frozenset[str]:
    name = tree.func.name
    vectors = [argument for argument in tree.args if selectors(argument)]
    if name in {"absent", "absent_over_time"}:
        selector = selectors(tree)[0]
        return frozenset(m.name for m in selector.matchers.matchers if m.op is pql.MatchOp.Equal)
    labels = result_labels(vectors[-1], known, recorded) if vectors else frozenset()
    if name == "histogram_quantile":
        return labels - {"le"}
    if name == "label_replace":
        return labels | {tree.args[1].val}
    return labels


def is_recorded(name: str) -> bool:
    """Whether a name has the form `level:metric:operations`."""
    return bool(_RECORDED.match(name))
