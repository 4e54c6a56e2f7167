/** What is worth a look in a trace: exceptions, other failures, repeated and slow statements. */

import { duration } from "./format.ts";
import type { Failure, Repeated, Trace } from "./types.ts";

export interface Issue {
  kind: "exception" | "error" | "repeated" | "slow";
  title: string;
  span: string | null;
  repeated?: Repeated;
  failure?: Failure;
  text?: string;
}

const SLOW_STATEMENT = 100; // milliseconds

export function issuesOf(trace: Trace): Issue[] {
  const issues: Issue[] = [];
  const seen = new Set<string>();
  // An exception that leaves several spans is one issue, of the innermost span: the one that starts last.
  for (const span of [...trace.spans].sort((a, b) => b.start - a.start)) {
    if (!span.exception) continue;
    const same = `${span.exception.type} ${span.exception.message}`;
    if (seen.has(same)) continue;
    seen.add(same);
    issues.push({ kind: "exception", title: span.exception.type, span: span.span_id, failure: span.exception });
  }
  for (const span of trace.spans) {
    if (span.status !== "error" || span.exception || issues.some((issue) => issue.kind === "exception")) continue;
    issues.push({ kind: "error", title: span.name, span: span.span_id, text: span.status_message || String(span.attributes["error.type"] ?? "") });
  }
  for (const repeated of trace.repeated) {
    issues.push({ kind: "repeated", title: repeated.summary, span: repeated.span_ids[0] ?? null, repeated });
  }
  const slow = trace.spans.filter((span) => span.sql && span.duration >= SLOW_STATEMENT).sort((a, b) => b.duration - a.duration);
  for (const span of slow.slice(0, 10)) {
    issues.push({ kind: "slow", title: `${span.sql?.summary || span.name} · ${duration(span.duration)}`, span: span.span_id, text: span.sql?.source ?? "" });
  }
  return issues;
}
