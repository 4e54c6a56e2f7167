import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log, Span } from "../src/types.ts";
import { extent, rows, selfTime, ticks, tree, type Row } from "../src/waterfall.ts";

const OPEN = { folded: new Set<string>(), logs: true };

function span(id: string, parent: string | null, start: number, duration: number, sql = ""): Span {
  const statement = sql ? { system: "sqlite", text: sql, formatted: sql, summary: sql, repeats: 1, source: null, can_explain: false } : null;
  return { span_id: id, parent_id: parent, service: "blog", scope: "", name: id, kind: "internal", start, duration, status: "unset", status_message: "", attributes: {}, resource: {}, events: [], links: [], sql: statement, exception: null };
}

function log(body: string, owner: string | null, time: number): Log {
  return { time, severity: "INFO", severity_number: 9, body, service: "blog", logger: "", trace_id: "t", span_id: owner, attributes: {}, exception: null };
}

const named = (found: Row[]): string[] =>
  found.map((row) => `${" ".repeat(row.depth)}${row.type === "log" ? `log ${row.log.body}` : row.type === "run" ? `run of ${row.spans.length}` : row.span.span_id}`);

test("spans stand below their parent in the order of their start, log records between them", () => {
  const spans = [span("late", "root", 30, 5), span("root", null, 0, 100), span("early", "root", 10, 5)];
  const found = rows({ spans, logs: [log("between", "root", 20), log("inside", "late", 31), log("elsewhere", "unknown", 200)] }, OPEN);
  assert.deepEqual(named(found), ["root", " early", " log between", " late", "  log inside", "log elsewhere"]);
});

test("a run of one statement is one row until it is opened", () => {
  const spans = [span("root", null, 0, 100), ...[1, 2, 3, 4, 5].map((n) => span(`q${n}`, "root", n * 10, 5, "SELECT 1"))];
  assert.deepEqual(named(rows({ spans, logs: [] }, OPEN)), ["root", " run of 5"]);
  const opened = rows({ spans, logs: [] }, { ...OPEN, folded: new Set(["run q1"]) });
  assert.deepEqual(named(opened), ["root", " run of 5", "  q1", "  q2", "  q3", "  q4", "  q5"]);
});

test("a log record, another statement or an error ends a run", () => {
  const spans = [span("root", null, 0, 100), ...[1, 2, 3, 4, 5, 6].map((n) => span(`q${n}`, "root", n * 10, 5, n === 4 ? "SELECT 2" : "SELECT 1"))];
  assert.equal(rows({ spans, logs: [] }, OPEN).length, 7);
  const same = [span("root", null, 0, 100), ...[1, 2, 3, 4].map((n) => span(`q${n}`, "root", n * 10, 5, "SELECT 1"))];
  assert.equal(rows({ spans: same, logs: [log("x", "root", 25)] }, OPEN).length, 6);
});

test("a folded span hides what is below it", () => {
  const spans = [span("root", null, 0, 100), span("child", "root", 1, 5), span("grandchild", "child", 2, 1)];
  assert.deepEqual(named(rows({ spans, logs: [] }, { ...OPEN, folded: new Set(["child"]) })), ["root", " child"]);
});

test("spans without a known parent are roots, and a circle of parents shows every span once", () => {
  const orphan = [span("a", "gone", 5, 1), span("b", null, 0, 1)];
  assert.deepEqual(tree(orphan).roots.map((one) => one.span_id), ["b", "a"]);
  const circle = [span("a", "b", 0, 1), span("b", "a", 1, 1), span("self", "self", 2, 1)];
  assert.deepEqual(named(rows({ spans: circle, logs: [] }, OPEN)).map((one) => one.trim()).sort(), ["a", "b", "self"]);
});

test("five thousand spans in a chain, or below one parent, take no stack and little time", () => {
  const chain = Array.from({ length: 5000 }, (_, n) => span(`s${n}`, n ? `s${n - 1}` : null, n, 5000 - n));
  const flat = Array.from({ length: 5000 }, (_, n) => span(`s${n}`, n ? "s0" : null, n, 1));
  const began = performance.now();
  assert.equal(rows({ spans: chain, logs: [] }, OPEN).length, 5000);
  assert.equal(rows({ spans: flat, logs: [] }, OPEN).length, 5000);
  assert.ok(performance.now() - began < 2000);
});

test("the axis covers all services, and its ticks are round", () => {
  assert.deepEqual(extent([span("a", null, 10, 5), span("b", null, 7, 2)]), { start: 7, duration: 8 });
  assert.deepEqual(ticks(470, 6), [0, 100, 200, 300, 400]);
  assert.deepEqual(ticks(8, 4), [0, 2, 4, 6, 8]);
  assert.equal(ticks(0.001, 6).length, 6);
});

test("self time leaves out the time of children, counted once where they overlap", () => {
  const root = span("root", null, 0, 100);
  assert.equal(selfTime(root, [root, span("a", "root", 10, 30), span("b", "root", 20, 30), span("late", "root", 90, 50)]), 50);
});
