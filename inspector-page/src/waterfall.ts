/** The rows of a waterfall: spans as a tree in time order, their log records in place, runs of one statement folded. */

import type { Log, Span, Trace } from "./types.ts";

export interface SpanRow {
  type: "span";
  key: string;
  span: Span;
  depth: number;
  children: number;
  folded: boolean;
}

export interface RunRow {
  type: "run";
  key: string;
  spans: Span[];
  depth: number;
  folded: boolean;
  duration: number;
}

export interface LogRow {
  type: "log";
  key: string;
  log: Log;
  depth: number;
}

export type Row = SpanRow | RunRow | LogRow;

export interface Shape {
  folded: ReadonlySet<string>; // keys of spans and of runs: a span is open unless named, a run closed unless named
  logs: boolean;
}

/** So many spans of one statement in a row, without anything between them, are one row. */
export const MIN_RUN = 4;

interface Tree {
  roots: Span[];
  children: Map<string, Span[]>;
}

/** Spans by their parent, in time order. A span whose parent is unknown, or its own descendant, is a root. */
export function tree(spans: Span[]): Tree {
  const known = new Map(spans.map((span) => [span.span_id, span]));
  const children = new Map<string, Span[]>();
  const roots: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.start - b.start || b.duration - a.duration)) {
    const parent = span.parent_id;
    if (parent === null || parent === span.span_id || !known.has(parent)) roots.push(span);
    else {
      const siblings = children.get(parent);
      if (siblings) siblings.push(span);
      else children.set(parent, [span]);
    }
  }
  const reached = new Set<string>();
  const reach = (start: Span): void => {
    const stack = [start];
    for (let span = stack.pop(); span; span = stack.pop()) {
      if (reached.has(span.span_id)) continue;
      reached.add(span.span_id);
      stack.push(...(children.get(span.span_id) ?? []));
    }
  };
  roots.forEach(reach);
  for (const span of spans) {
    if (reached.has(span.span_id)) continue; // part of a cycle: cut where it is met first
    const siblings = children.get(span.parent_id ?? "") ?? [];
    children.set(span.parent_id ?? "", siblings.filter((one) => one !== span));
    roots.push(span);
    reach(span);
  }
  return { roots, children };
}

/** The rows that are visible. */
export function rows(trace: Pick<Trace, "spans" | "logs">, shape: Shape): Row[] {
  const { roots, children } = tree(trace.spans);
  const known = new Set(trace.spans.map((span) => span.span_id));
  const logsOf = new Map<string, Log[]>();
  if (shape.logs) {
    for (const log of [...trace.logs].sort((a, b) => a.time - b.time)) {
      const owner = log.span_id !== null && known.has(log.span_id) ? log.span_id : "";
      const list = logsOf.get(owner);
      if (list) list.push(log);
      else logsOf.set(owner, [log]);
    }
  }
  const found: Row[] = [];
  type Step = { span: Span; depth: number } | { row: Row } | { run: Span[]; depth: number };
  const stack: Step[] = [];
  const push = (spans: Span[], logs: Log[], depth: number): void => {
    const steps: { time: number; step: Step }[] = logs.map((log, index) => ({
      time: log.time,
      step: { row: { type: "log", key: `log ${log.span_id ?? ""} ${index}`, log, depth } },
    }));
    for (const part of runs(spans, logs, children)) {
      const first = part[0] as Span;
      steps.push({ time: first.start, step: part.length > 1 ? { run: part, depth } : { span: first, depth } });
    }
    steps.sort((a, b) => b.time - a.time); // the earliest is taken from the stack first
    stack.push(...steps.map(({ step }) => step));
  };
  push(roots, logsOf.get("") ?? [], 0);
  for (let step = stack.pop(); step; step = stack.pop()) {
    if ("row" in step) {
      found.push(step.row);
    } else if ("run" in step) {
      const key = `run ${step.run[0]?.span_id}`;
      const folded = !shape.folded.has(key);
      const total = step.run.reduce((sum, span) => sum + span.duration, 0);
      found.push({ type: "run", key, spans: step.run, depth: step.depth, folded, duration: total });
      if (!folded) for (const span of [...step.run].reverse()) stack.push({ span, depth: step.depth + 1 });
    } else {
      const { span, depth } = step;
      const below = children.get(span.span_id) ?? [];
      const logs = logsOf.get(span.span_id) ?? [];
      const folded = shape.folded.has(span.span_id);
      found.push({ type: "span", key: span.span_id, span, depth, children: below.length + logs.length, folded });
      if (!folded) push(below, logs, depth + 1);
    }
  }
  return found;
}

/** Siblings, with each run of one statement as one list. */
function runs(spans: Span[], logs: Log[], children: Map<string, Span[]>): Span[][] {
  const parts: Span[][] = [];
  let current: Span[] = [];
  const close = (): void => {
    if (current.length >= MIN_RUN) parts.push(current);
    else parts.push(...current.map((span) => [span]));
    current = [];
  };
  for (const span of spans) {
    const last = current.at(-1);
    const joins =
      last !== undefined &&
      last.sql !== null &&
      span.sql !== null &&
      last.sql.text === span.sql.text &&
      last.status === span.status &&
      !logs.some((log) => log.time > last.start && log.time < span.start);
    if (!joins) close();
    if (span.sql !== null && !children.has(span.span_id) && span.status !== "error") {
      current.push(span);
    } else {
      close();
      parts.push([span]);
    }
  }
  close();
  return parts;
}

/** The time from the first start to the last end, at least a microsecond. */
export function extent(spans: Span[], logs: Log[] = []): { start: number; duration: number } {
  let start = Infinity;
  let end = -Infinity;
  for (const span of spans) {
    start = Math.min(start, span.start);
    end = Math.max(end, span.start + span.duration);
  }
  if (spans.length === 0) for (const log of logs) [start, end] = [Math.min(start, log.time), Math.max(end, log.time)];
  return Number.isFinite(start) ? { start, duration: Math.max(end - start, 0.001) } : { start: 0, duration: 1 };
}

/** Round positions for the ticks of an axis from 0 to `length`, at most `most` of them after 0. */
export function ticks(length: number, most: number): number[] {
  const rough = length / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999) ?? 10 * power;
  const found: number[] = [];
  for (let index = 0; index * step <= length * 1.0001; index += 1) found.push(index * step);
  return found;
}

/** The part of a span's duration in which none of its children ran, in milliseconds. */
export function selfTime(span: Span, spans: Span[]): number {
  const end = span.start + span.duration;
  const below = spans.filter((one) => one.parent_id === span.span_id).sort((a, b) => a.start - b.start);
  let covered = 0;
  let until = span.start;
  for (const child of below) {
    const from = Math.max(until, child.start);
    const to = Math.min(end, child.start + child.duration);
    if (to > from) covered += to - from;
    until = Math.max(until, to);
  }
  return Math.max(0, span.duration - covered);
}
