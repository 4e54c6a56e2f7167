/** The waterfall: the tree of spans on the left, their times on the right, log records where they were written. */

import { useMemo, useState } from "preact/hooks";
import { colorOf } from "../colors.ts";
import { duration } from "../format.ts";
import { NARROW, useKeys, useMedia } from "../hooks.ts";
import { t } from "../i18n.ts";
import type { Log, Span, Trace } from "../types.ts";
import { extent, rows, ticks, type Row, type RunRow, type SpanRow } from "../waterfall.ts";
import { keyOf } from "../views/logs.tsx";
import { Icon } from "./icons.tsx";
import { Badge, severityLevel, SqlText } from "./parts.tsx";
import { VirtualList } from "./virtual.tsx";

export type Choice = { span: string; log?: string } | null;

interface Props {
  trace: Trace;
  selected: Choice;
  onSelect: (choice: Choice) => void;
}

export function Waterfall({ trace, selected, onSelect }: Props) {
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const [logs, setLogs] = useState(true);
  const narrow = useMedia(NARROW);
  const visible = useMemo(() => rows(trace, { folded, logs }), [trace, folded, logs]);
  const range = useMemo(() => extent(trace.spans, trace.logs), [trace]);
  const chosenKey = selected?.log ?? selected?.span ?? null;
  const index = visible.findIndex((row) => (row.type === "log" ? keyOf(row.log) === selected?.log : row.type === "span" ? row.span.span_id === chosenKey : row.folded && row.spans.some((span) => span.span_id === chosenKey)));
  const toggle = (key: string): void => {
    const next = new Set(folded);
    if (!next.delete(key)) next.add(key);
    setFolded(next);
  };
  const choose = (row: Row): void => onSelect(row.type === "log" ? { span: row.log.span_id ?? "", log: keyOf(row.log) } : { span: (row.type === "run" ? row.spans[0] : row.span)?.span_id ?? "" });
  const move = (by: number): void => {
    const row = visible[Math.max(0, Math.min(visible.length - 1, index < 0 ? 0 : index + by))];
    if (row) choose(row);
  };
  const current = visible[index];
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => current && current.type !== "log" && toggle(current.key),
    ArrowLeft: () => current && current.type !== "log" && !current.folded && toggle(current.key),
    ArrowRight: () => current && current.type !== "log" && current.folded && toggle(current.key),
    l: () => setLogs(!logs),
  });
  const foldAll = (): void => setFolded(folded.size ? new Set() : new Set(trace.spans.filter((span) => span.parent_id !== null).map((span) => span.span_id)));
  const marks = ticks(range.duration, narrow ? 3 : 6);
  return (
    <VirtualList
      class="waterfall" label={t("tab_waterfall")} items={visible} rowHeight={narrow ? 44 : 28} id={(row) => row.key} selected={index}
      header={
        <div class="wf-row head">
          <span class="wf-tree">
            <button type="button" class={`chip small ${logs ? "active" : ""}`} aria-pressed={logs} onClick={() => setLogs(!logs)}>{t("logs_in_place")}</button>
            <button type="button" class="chip small" onClick={foldAll}>{t(folded.size ? "unfold_all" : "fold_all")}</button>
          </span>
          <span class="wf-times">
            {marks.filter((at) => at / range.duration < 0.94).map((at, number) => (
              <span key={at} class={`wf-tick ${at / range.duration > 0.9 ? "at-end" : ""}`} style={{ left: `${(at / range.duration) * 100}%` }}>{number === 0 ? "0" : duration(at).replace(/\.0+ /, " ")}</span>
            ))}
          </span>
        </div>
      }
      row={(row, _, chosen) => (
        <div class={`wf-row ${row.type} ${chosen ? "selected" : ""} ${row.type === "span" && row.span.status === "error" ? "failed" : ""}`} onClick={() => (chosen ? onSelect(null) : choose(row))}>
          <span class="wf-tree" style={{ paddingLeft: `${8 + Math.min(row.depth, 24) * (narrow ? 8 : 14)}px` }}>
            {row.type === "log" ? <LogLabel log={row.log} /> : <SpanLabel row={row} onToggle={() => toggle(row.key)} />}
          </span>
          <span class="wf-times">
            {marks.slice(1).map((at) => <i key={at} class="wf-line" style={{ left: `${(at / range.duration) * 100}%` }} />)}
            {row.type === "log" ? <LogMark log={row.log} range={range} /> : row.type === "run" ? <RunBars row={row} range={range} /> : <Bar span={row.span} range={range} />}
          </span>
        </div>
      )}
    />
  );
}

function SpanLabel({ row, onToggle }: { row: SpanRow | RunRow; onToggle: () => void }) {
  const span = row.type === "run" ? (row.spans[0] as Span) : row.span;
  const folds = row.type === "run" || row.children > 0;
  const repeats = span.sql?.repeats ?? 0;
  return (
    <>
      {folds ? (
        <button type="button" class={`fold ${row.folded ? "" : "open"}`} aria-label={t(row.folded ? "unfold" : "fold")} aria-expanded={!row.folded} onClick={(event) => { event.stopPropagation(); onToggle(); }}>
          <Icon name="chevron" size={12} />
        </button>
      ) : (
        <span class="fold" />
      )}
      <span class="swatch tall" style={{ background: colorOf(span.service) }} title={span.service} />
      <span class={`ellipsis wf-name ${span.sql ? "mono sql" : ""}`} title={span.sql?.text ?? span.name}>
        {span.sql ? <SqlText text={span.sql.summary || span.name} /> : span.name}
      </span>
      {row.type === "span" && peerOf(span) && <span class="wf-peer ellipsis">{peerOf(span)}</span>}
      {row.type === "run" && <Badge kind={repeats >= 5 ? "warn" : "quiet"} title={t("repeats_title", { n: repeats || row.spans.length })}>×{row.spans.length}</Badge>}
      {row.type === "span" && repeats >= 5 && <Badge kind="quiet" title={t("repeats_title", { n: repeats })}>×{repeats}</Badge>}
      {row.type === "span" && span.exception && <Badge kind="error">{span.exception.type.split(".").at(-1)}</Badge>}
      {row.type === "span" && span.status === "error" && !span.exception && <span class="error-text sign" title={span.status_message}>✕</span>}
    </>
  );
}

/** Where an outgoing HTTP call goes: its host and path. */
export function peerOf(span: Span): string {
  if (span.kind !== "client" || span.sql) return "";
  const full = span.attributes["url.full"];
  if (typeof full === "string") return full.replace(/^https?:\/\//, "").replace(/[?#].*$/, "");
  const host = span.attributes["server.address"];
  return typeof host === "string" && !span.name.includes(host) ? host : "";
}

function LogLabel({ log }: { log: Log }) {
  return (
    <>
      <span class="fold" />
      <span class={`severity small ${severityLevel(log.severity_number)}`}>{log.severity.slice(0, 5)}</span>
      <span class="ellipsis wf-log" title={log.body}>{log.body}</span>
    </>
  );
}

interface Range {
  start: number;
  duration: number;
}

const percent = (time: number, range: Range): number => Math.max(0, Math.min(100, ((time - range.start) / range.duration) * 100));

function Bar({ span, range }: { span: Span; range: Range }) {
  const left = percent(span.start, range);
  const right = percent(span.start + span.duration, range);
  const outside = right < 82 ? "after" : left > 18 ? "before" : "inside";
  return (
    <>
      <span class={`bar ${span.sql ? "sql" : span.kind} ${span.status === "error" ? "error" : ""}`} style={{ left: `${left}%`, width: `max(2px, ${right - left}%)`, "--bar": colorOf(span.service) }} />
      <span class={`bar-label ${outside}`} style={outside === "after" ? { left: `${right}%` } : outside === "before" ? { right: `${100 - left}%` } : { right: `${100 - right}%` }}>{duration(span.duration)}</span>
    </>
  );
}

/** The spans of a run on one line: each at its time. */
function RunBars({ row, range }: { row: RunRow; range: Range }) {
  const last = row.spans.at(-1) as Span;
  const right = percent(last.start + last.duration, range);
  const shown = row.spans.length > 200 ? row.spans.filter((_, index) => index % Math.ceil(row.spans.length / 200) === 0) : row.spans;
  const left = percent((row.spans[0] as Span).start, range);
  const outside = right < 82 ? "after" : left > 12 ? "before" : "inside";
  return (
    <>
      {shown.map((span) => (
        <span key={span.span_id} class="bar sql" style={{ left: `${percent(span.start, range)}%`, width: `max(1.5px, ${percent(span.start + span.duration, range) - percent(span.start, range)}%)`, "--bar": colorOf(span.service) }} />
      ))}
      <span class={`bar-label run ${outside}`} style={outside === "after" ? { left: `${right}%` } : outside === "before" ? { right: `${100 - left}%` } : { right: `${100 - right}%` }}>{duration(row.duration)}</span>
    </>
  );
}

function LogMark({ log, range }: { log: Log; range: Range }) {
  return <span class={`log-mark ${severityLevel(log.severity_number)}`} style={{ left: `${percent(log.time, range)}%` }} title={log.body} />;
}
