import assert from "node:assert/strict";
import { test } from "node:test";
import { labels, plotted, rates } from "../src/series.ts";
import { joined, layers, layout } from "../src/servicemap.ts";
import { tokens } from "../src/sql.ts";
import { parts } from "../src/stack.ts";
import type { Edge, Series } from "../src/types.ts";

const edge = (from: string, to: string): Edge => ({ from, to, kind: "http", count: 1, errors: 0, p95: 1 });
const SIZES = { width: 100, height: 40, gap: 50, space: 20, down: false };

test("a service stands behind all that call it", () => {
  const found = layers(["web", "api", "db", "worker"], [edge("web", "api"), edge("api", "db"), edge("api", "worker"), edge("worker", "db")]);
  assert.deepEqual(Object.fromEntries(found), { web: 0, api: 1, worker: 2, db: 3 });
});

test("services that call each other in a circle have a layer each", () => {
  assert.equal(layers(["a", "b", "c"], [edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("a", "a")]).size, 3);
});

test("no two services overlap, and an edge that passes a layer bends around its services", () => {
  const edges = [edge("api", "worker"), edge("worker", "db"), edge("api", "db")];
  const map = layout({ services: [], edges }, SIZES);
  for (const a of map.nodes) for (const b of map.nodes) if (a !== b) assert.ok(Math.abs(a.x - b.x) >= 100 || Math.abs(a.y - b.y) >= 40, `${a.name} ${b.name}`);
  const worker = map.nodes.find((node) => node.name === "worker");
  const bends = map.bends.get(edges[2] as Edge) ?? [];
  assert.equal(bends.length, 2);
  for (const bend of bends) assert.ok(bend.y < (worker?.y ?? 0) || bend.y > (worker?.y ?? 0) + 40);
});

test("two kinds of calls between two services are one edge of the commoner kind", () => {
  const edges: Edge[] = [{ ...edge("api", "db"), kind: "http", p95: 9 }, { ...edge("api", "db"), kind: "database", count: 5, errors: 2 }, edge("db", "api")];
  assert.deepEqual(joined({ services: [], edges }).edges, [{ from: "api", to: "db", kind: "database", count: 6, errors: 2, p95: 1 }, edge("db", "api")]);
});

test("the tokens of a statement are its text", () => {
  const text = "SELECT id, 'it''s' FROM \"from\" WHERE a = :id AND b::int > 12.5 -- end\n/* x */";
  assert.equal(tokens(text).map((token) => token.text).join(""), text);
  const kinds = (kind: string): string[] => tokens(text).filter((token) => token.kind === kind).map((token) => token.text);
  assert.deepEqual(kinds("keyword"), ["SELECT", "FROM", "WHERE", "AND"]);
  assert.deepEqual([kinds("string"), kinds("parameter"), kinds("number")], [["'it''s'"], [":id"], ["12.5"]]);
});

test("the frames of libraries are told from those of the application", () => {
  const text = 'Traceback (most recent call last):\n  File "/x/site-packages/a.py", line 1, in f\n    call()\n  File "/x/site-packages/b.py", line 1, in g\n    call()\n  File "/app/main.py", line 2, in h\n    1 / 0\nZeroDivisionError: division by zero\n';
  assert.deepEqual(parts(text).map((part) => [part.library, part.frames, part.lines.length]), [[false, 0, 1], [true, 2, 4], [false, 1, 3]]);
});

test("frames of an application in a folder with the package's name are the application's", () => {
  const text = '  File "/home/a/blogauto_otel/examples/blog/main.py", line 3, in write\n  File "/home/a/blogauto_otel/blogauto_otel/instrumentation/server/middleware.py", line 9, in call\n';
  assert.deepEqual(parts(text).map((part) => part.library), [false, true]);
});

test("a counter is drawn as its increase per second, and starts anew after a restart", () => {
  assert.deepEqual(rates([{ time: 0, value: 10 }, { time: 2000, value: 14 }, { time: 4000, value: 6 }, { time: 4000, value: 6 }]), [2, 3, null]);
  const series: Series = { attributes: {}, points: [{ time: 1000, count: 1, sum: 1, p50: 1, p95: 2, p99: null }], exemplars: [] };
  assert.deepEqual(plotted(series, "histogram"), { times: [1], lines: [{ label: "p50", values: [1] }, { label: "p95", values: [2] }, { label: "p99", values: [null] }] });
});

test("the instance is named only where there are several", () => {
  const of = (instance: string): Series => ({ attributes: { "service.instance.id": instance, method: "GET" }, points: [], exemplars: [] });
  assert.deepEqual(labels([of("a"), of("a")])[0], { method: "GET" });
  assert.deepEqual(labels([of("0123456789"), of("b")])[0], { method: "GET", instance: "01234567" });
});
