/** Everything about one span. */

import { clock, duration } from "../format.ts";
import { t } from "../i18n.ts";
import { address } from "../route.ts";
import type { Span, Trace } from "../types.ts";
import { selfTime } from "../waterfall.ts";
import { Explain } from "./explain.tsx";
import { AttributeTable, Badge, Copy, Duration, Section, Severity, SqlBlock, Stack } from "./parts.tsx";

export function SpanDetail({ trace, span, onSelect }: { trace: Trace; span: Span; onSelect: (span: string) => void }) {
  const logs = trace.logs.filter((log) => log.span_id === span.span_id);
  const self = selfTime(span, trace.spans);
  const parent = trace.spans.find((one) => one.span_id === span.parent_id);
  const sql = span.sql;
  const start = Math.min(...trace.spans.slice(0, 1).map((one) => one.start), trace.start);
  return (
    <>
      <h2 class="span-name">{sql ? sql.summary || span.name : span.name}</h2>
      <dl class="facts">
        <div><dt>{t("duration")}</dt><dd><Duration value={span.duration} /></dd></div>
        <div><dt>{t("self_time")}</dt><dd><Duration value={self} /></dd></div>
        <div><dt>{t("starts_at")}</dt><dd class="number">+{duration(Math.max(0, span.start - start))}</dd></div>
        <div><dt>{t("kind")}</dt><dd>{span.kind}</dd></div>
        {span.status !== "unset" && <div><dt>{t("status_code")}</dt><dd class={span.status === "error" ? "error-text" : ""}>{span.status}</dd></div>}
      </dl>
      {span.exception && <Stack failure={span.exception} />}
      {!span.exception && span.status === "error" && span.status_message && <p class="error-text mono">{span.status_message}</p>}
      {sql && (
        <Section title={t("statement")} actions={sql.repeats > 1 ? <Badge kind={sql.repeats >= 5 ? "warn" : "quiet"} title={t("repeats_title", { n: sql.repeats })}>×{sql.repeats}</Badge> : null}>
          <SqlBlock text={sql.formatted || sql.text} />
          {sql.source && <p class="source"><span class="dim">{t("line_of_code")}</span> <code>{sql.source}</code> <Copy text={sql.source} label={t("copy_source")} /></p>}
          {sql.can_explain && <Explain traceId={trace.trace_id} spanId={span.span_id} />}
        </Section>
      )}
      {logs.length > 0 && (
        <Section title={t("logs")} count={logs.length}>
          <ul class="plain log-lines">
            {logs.map((log, index) => (
              <li key={index}><span class="number dim">{clock(log.time)}</span> <Severity text={log.severity} number={log.severity_number} /> <span class="mono">{log.body}</span></li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={t("attributes")} count={Object.keys(span.attributes).length}><AttributeTable attributes={span.attributes} /></Section>
      {span.events.length > 0 && (
        <Section title={t("events")} count={span.events.length}>
          {span.events.filter((event) => !(event.name === "exception" && span.exception)).map((event, index) => (
            <div key={index} class="event">
              <p><b class="mono">{event.name}</b> <span class="number dim">+{duration(Math.max(0, event.time - span.start))}</span></p>
              <AttributeTable attributes={event.attributes} />
            </div>
          ))}
        </Section>
      )}
      {span.links.length > 0 && (
        <Section title={t("links")} count={span.links.length}>
          <ul class="plain">
            {span.links.map((link) => (
              <li key={link.span_id}><a class="mono ellipsis" href={address("trace", [link.trace_id, link.span_id])}>{link.trace_id}</a></li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={t("resource")} count={Object.keys(span.resource).length}><AttributeTable attributes={span.resource} /></Section>
      <dl class="attributes ids">
        <div><dt>{t("span_id")}</dt><dd>{span.span_id} <Copy text={span.span_id} label={t("copy_span_id")} /></dd></div>
        {parent && <div><dt>{t("parent")}</dt><dd><button type="button" class="link" onClick={() => onSelect(parent.span_id)}>{parent.name}</button></dd></div>}
        <div><dt>{t("scope")}</dt><dd>{span.scope}</dd></div>
      </dl>
    </>
  );
}
