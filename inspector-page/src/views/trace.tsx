/** One trace: its waterfall, statements, logs, issues and the attributes of its request, as tabs. */

import { useEffect, useMemo, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { Icon } from "../components/icons.tsx";
import { AttributeTable, Badge, Copy, Duration, Empty, Method, Problem, Section, ServiceName, SqlText, Stack, Status } from "../components/parts.tsx";
import { SpanDetail } from "../components/spandetail.tsx";
import { Split } from "../components/split.tsx";
import { Waterfall, type Choice } from "../components/waterfall.tsx";
import { assign } from "../colors.ts";
import { clock, duration, instant } from "../format.ts";
import { useKeys } from "../hooks.ts";
import { t } from "../i18n.ts";
import { issuesOf, type Issue } from "../issues.ts";
import { useData } from "../live.ts";
import { address, go, goInPlace, type Route } from "../route.ts";
import type { Span, Trace } from "../types.ts";
import { extent } from "../waterfall.ts";
import { LogDetail, keyOf } from "./logs.tsx";
import { Table } from "../components/table.tsx";

const TABS = ["waterfall", "statements", "logs", "issues", "request"] as const;
type Tab = (typeof TABS)[number];

export function TraceView({ route }: { route: Route }) {
  const [id = "", spanId = ""] = route.parts;
  const { data: trace, error, status } = useData<Trace>(`/api/traces/${encodeURIComponent(id)}`, 1000);
  const tab = TABS.find((one) => one === route.query.get("tab")) ?? "waterfall";
  const [logKey, setLogKey] = useState<string | null>(null);
  useEffect(() => setLogKey(null), [id]);

  const show = (next: Partial<{ tab: Tab; span: string }>): void => {
    const span = next.span ?? spanId;
    const to = next.tab ?? tab;
    goInPlace(address("trace", span ? [id, span] : [id], { tab: to === "waterfall" ? null : to }));
  };
  const choose = (choice: Choice): void => {
    setLogKey(choice?.log ?? null);
    show({ span: choice?.span ?? "" });
  };
  const step = (by: number): void => show({ tab: TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length] as Tab });
  useKeys({
    "[": () => step(-1),
    "]": () => step(1),
    Escape: () => (spanId || logKey ? choose(null) : history.length > 1 ? history.back() : go(address("requests"))),
  });
  const spans = useMemo(() => [...(trace?.spans ?? [])].sort((a, b) => a.start - b.start), [trace]);
  const issues = useMemo(() => (trace ? issuesOf(trace) : []), [trace]);
  if (!trace && error) return status === 404 ? <Empty title={t("trace_gone")}><p>{t("trace_gone_text")}</p><a class="button" href="#/requests">{t("back_to_requests")}</a></Empty> : <Problem text={error} />;
  if (!trace) return null;
  assign(trace.services);
  const root = rootOf(trace, spans);
  const span = spans.find((one) => one.span_id === spanId);
  const log = trace.logs.find((one) => keyOf(one) === logKey);
  const statements = spans.filter((one) => one.sql);
  const counts: Record<Tab, number | null> = { waterfall: trace.spans.length, statements: statements.length, logs: trace.logs.length, issues: issues.length, request: null };
  const panels: Record<Tab, () => ComponentChildren> = {
    waterfall: () => <Waterfall trace={trace} selected={logKey ? { span: spanId, log: logKey } : spanId ? { span: spanId } : null} onSelect={choose} />,
    statements: () => (statements.length ? <Statements trace={trace} spans={statements} selected={spanId} onSelect={(one) => choose(one ? { span: one } : null)} /> : <Empty title={t("no_statements_in_trace")} />),
    logs: () => (trace.logs.length ? <TraceLogs trace={trace} selected={logKey} onSelect={(key) => setLogKey(key)} /> : <Empty title={t("no_logs_in_trace")} />),
    issues: () => (issues.length ? <Issues issues={issues} trace={trace} onShow={(one) => show({ tab: "waterfall", span: one })} /> : <Empty title={t("no_issues")} />),
    request: () => (root ? <RequestTab span={root} /> : null),
  };
  const detail = tab === "issues" || tab === "request" ? null : log ? <LogDetail log={log} /> : span ? <SpanDetail key={span.span_id} trace={trace} span={span} onSelect={(one) => choose({ span: one })} /> : null;
  return (
    <div class="view trace">
      <TraceHead trace={trace} root={root} />
      <nav class="tabs" role="tablist" aria-label={t("trace")}>
        {TABS.map((one) => (
          <button key={one} type="button" role="tab" aria-selected={one === tab} class={one === "issues" && issues.some((issue) => issue.kind === "exception" || issue.kind === "error") ? "with-errors" : ""} onClick={() => show({ tab: one })}>
            {t(`tab_${one}`)}
            {counts[one] !== null && <span class="tab-count">{counts[one]}</span>}
          </button>
        ))}
      </nav>
      <Split title={log ? log.logger : span ? <><ServiceName name={span.service} /></> : null} onClose={() => choose(null)} detail={detail}>{panels[tab]()}</Split>
    </div>
  );
}

/** The span that stands for the trace: the first server span without a parent here, else the first of all. */
export function rootOf(trace: Trace, spans: Span[]): Span | undefined {
  const known = new Set(trace.spans.map((one) => one.span_id));
  const roots = spans.filter((one) => one.parent_id === null || !known.has(one.parent_id));
  return spans.find((one) => one.kind === "server") ?? roots[0] ?? spans[0];
}

function TraceHead({ trace, root }: { trace: Trace; root: Span | undefined }) {
  const attributes = root?.attributes ?? {};
  const method = typeof attributes["http.request.method"] === "string" ? attributes["http.request.method"] : null;
  const status = typeof attributes["http.response.status_code"] === "number" ? attributes["http.response.status_code"] : null;
  const route = attributes["http.route"] ?? attributes["url.path"] ?? root?.name ?? trace.trace_id;
  const { duration: length } = extent(trace.spans, trace.logs);
  return (
    <header class="trace-head">
      <div class="trace-title">
        <a class="icon-button" href="#/requests" aria-label={t("back_to_requests")} title={t("back_to_requests")} onClick={(event) => { if (history.length > 1) { event.preventDefault(); history.back(); } }}>
          <Icon name="back" />
        </a>
        {method && <Method method={method} />}
        <h1 class="ellipsis">{String(route)}</h1>
        {(status !== null || root?.status === "error") && <Status status={status} error={root?.status === "error"} />}
      </div>
      <dl class="trace-facts">
        <div><dt>{t("duration")}</dt><dd><Duration value={length} /></dd></div>
        <div><dt>{t("started")}</dt><dd class="number" title={instant(trace.start)}>{clock(trace.start)}</dd></div>
        <div class="trace-services"><dt>{t("services")}</dt><dd>{trace.services.map((one) => <ServiceName key={one} name={one} />)}</dd></div>
        <div class="trace-id"><dt>{t("trace_id")}</dt><dd><code class="ellipsis">{trace.trace_id}</code><Copy text={trace.trace_id} label={t("copy_trace_id")} /><Copy text={location.href} label={t("copy_link")} icon="link" /></dd></div>
      </dl>
    </header>
  );
}

function Statements({ trace, spans, selected, onSelect }: { trace: Trace; spans: Span[]; selected: string; onSelect: (span: string | null) => void }) {
  const { start } = extent(trace.spans);
  const total = spans.reduce((sum, one) => sum + one.duration, 0);
  return (
    <div class="column">
      <p class="summary-line">{t("statements_summary", { n: spans.length, time: duration(total), different: new Set(spans.map((one) => one.sql?.text)).size })}</p>
      <Table
        rows={spans} id={(one) => one.span_id} sortedBy="start" selected={selected || null} onSelect={onSelect} label={t("statements")}
        columns={[
          { id: "start", title: t("at"), cell: (one) => <span class="dim">{`+${duration(one.start - start)}`}</span>, sort: (one) => -one.start, right: true },
          { id: "text", title: t("statement"), cell: (one) => <span class="statement-cell"><span class="ellipsis mono" title={one.sql?.text}><SqlText text={(one.sql?.text ?? one.name).replace(/\s+/g, " ").slice(0, 400)} /></span>{one.status === "error" && <Badge kind="error">{t("error")}</Badge>}{(one.sql?.repeats ?? 0) > 1 && <Badge kind={(one.sql?.repeats ?? 0) >= 5 ? "warn" : "quiet"}>×{one.sql?.repeats}</Badge>}</span>, sort: (one) => one.sql?.summary ?? "", class: "grow" },
          { id: "source", title: t("line_of_code"), cell: (one) => <span class="mono dim source-cell"><bdi>{one.sql?.source ?? ""}</bdi></span>, sort: (one) => one.sql?.source ?? "", class: "hide-medium route-cell" },
          { id: "duration", title: t("duration"), cell: (one) => <Duration value={one.duration} slow={100} />, sort: (one) => one.duration, right: true },
        ]}
      />
    </div>
  );
}

function TraceLogs({ trace, selected, onSelect }: { trace: Trace; selected: string | null; onSelect: (key: string | null) => void }) {
  const { start } = extent(trace.spans, trace.logs);
  return (
    <Table
      class="tall" rows={trace.logs} id={keyOf} sortedBy="time" selected={selected} onSelect={onSelect} label={t("logs")}
      columns={[
        { id: "time", title: t("at"), cell: (one) => <span class="dim">{`+${duration(one.time - start)}`}</span>, sort: (one) => -one.time, right: true },
        { id: "level", title: t("level"), cell: (one) => <span class={`severity ${one.severity_number >= 17 ? "error" : one.severity_number >= 13 ? "warn" : one.severity_number >= 9 ? "info" : "quiet"}`}>{one.severity}</span>, sort: (one) => one.severity_number, class: "fit" },
        { id: "body", title: t("message"), cell: (one) => <div class="two-lines"><span class="ellipsis mono">{one.body}</span><span class="dim ellipsis mono">{one.logger}</span></div>, sort: (one) => one.body, class: "grow" },
        { id: "service", title: t("service"), cell: (one) => <ServiceName name={one.service} />, sort: (one) => one.service, class: "hide-medium" },
      ]}
    />
  );
}

function Issues({ issues, trace, onShow }: { issues: Issue[]; trace: Trace; onShow: (span: string) => void }) {
  return (
    <div class="scroller issues">
      {issues.map((issue, index) => (
        <article key={index} class={`issue ${issue.kind}`}>
          <header>
            <Badge kind={issue.kind === "exception" || issue.kind === "error" ? "error" : "warn"}>{issue.kind === "repeated" ? `N+1 ×${issue.repeated?.count}` : t(`issue_${issue.kind}`)}</Badge>
            <h3>{issue.title}</h3>
            {issue.span && <button type="button" class="button" onClick={() => onShow(issue.span as string)}>{t("show_in_waterfall")}</button>}
          </header>
          {issue.repeated && (
            <>
              <pre class="code block wrap"><SqlText text={issue.repeated.text} /></pre>
              <p>{t("repeated_text", { n: issue.repeated.count, time: duration(timeOf(trace, issue.repeated.span_ids)) })}{issue.repeated.source && <> <code>{issue.repeated.source}</code></>}</p>
              <p class="hint">{t(`hint_${issue.repeated.hint_kind}`)}</p>
            </>
          )}
          {issue.failure && <Stack failure={issue.failure} />}
          {issue.text && <p class="mono">{issue.text}</p>}
        </article>
      ))}
    </div>
  );
}

function timeOf(trace: Trace, ids: string[]): number {
  const wanted = new Set(ids);
  return trace.spans.reduce((sum, one) => sum + (wanted.has(one.span_id) ? one.duration : 0), 0);
}

function RequestTab({ span }: { span: Span }) {
  return (
    <div class="scroller padded two-columns">
      <Section title={t("attributes")} count={Object.keys(span.attributes).length}><AttributeTable attributes={span.attributes} /></Section>
      <Section title={t("resource")} count={Object.keys(span.resource).length}><AttributeTable attributes={span.resource} /></Section>
    </div>
  );
}
