/** The statements, grouped by their text. */

import { useState } from "preact/hooks";
import { Explain } from "../components/explain.tsx";
import { Table } from "../components/table.tsx";
import { Badge, Duration, Empty, Problem, Section, ServiceName, SqlBlock, SqlText, ViewHead, withText } from "../components/parts.tsx";
import { Split } from "../components/split.tsx";
import { count } from "../format.ts";
import { t } from "../i18n.ts";
import { useData } from "../live.ts";
import { address, go } from "../route.ts";
import type { Statement } from "../types.ts";

const key = (one: Statement): string => `${one.service} ${one.system} ${one.text}`;

export function DatabaseView() {
  const { data, error } = useData<{ statements: Statement[] }>("/api/statements", 600);
  const [selected, select] = useState<string | null>(null);
  const [text, setText] = useState("");
  if (error && !data) return <Problem text={error} />;
  const all = data?.statements ?? [];
  const rows = withText(all, text, (row) => `${row.text} ${row.system} ${row.service} ${row.sources.map((one) => one.source).join(" ")}`);
  if (data && all.length === 0) return <Empty title={t("no_statements")} />;
  const one = rows.find((row) => key(row) === selected);
  return (
    <Split title={one ? <span class="mono ellipsis">{one.summary}</span> : null} onClose={() => select(null)} detail={one ? <StatementDetail one={one} /> : null}>
      <ViewHead title={t("view_database")} count={rows.length} text={text} onText={setText} />
      <Table
        rows={rows} id={key} sortedBy="total" selected={selected} onSelect={select} onOpen={(row) => row.slowest_trace_id && go(address("trace", [row.slowest_trace_id]))} label={t("statements")}
        columns={[
          { id: "text", title: t("statement"), cell: (row) => <span class="statement-cell"><span class="ellipsis mono" title={row.text}><SqlText text={row.text.replace(/\s+/g, " ").slice(0, 400)} /></span>{row.repeated_in > 0 && <Badge kind="warn" title={t("repeated_in", { n: row.repeated_in })}>N+1</Badge>}</span>, sort: (row) => row.summary, class: "grow" },
          { id: "count", title: t("count"), cell: (row) => count(row.count), sort: (row) => row.count, right: true },
          { id: "errors", title: t("errors"), cell: (row) => (row.errors ? <span class="error-text">{count(row.errors)}</span> : <span class="zero">·</span>), sort: (row) => row.errors, right: true, class: "hide-narrow" },
          { id: "p50", title: "p50", cell: (row) => <Duration value={row.p50} slow={100} />, sort: (row) => row.p50, right: true, class: "hide-medium" },
          { id: "p95", title: "p95", cell: (row) => <Duration value={row.p95} slow={100} />, sort: (row) => row.p95, right: true, class: "hide-narrow" },
          { id: "max", title: t("max"), cell: (row) => <Duration value={row.max} slow={100} />, sort: (row) => row.max, right: true, class: "hide-medium" },
          { id: "total", title: t("total_time"), cell: (row) => <Duration value={row.total} slow={Infinity} />, sort: (row) => row.total, right: true },
          { id: "system", title: t("database_system"), cell: (row) => <span class="dim">{row.system}</span>, sort: (row) => row.system, class: "hide-medium" },
          { id: "service", title: t("service"), cell: (row) => <ServiceName name={row.service} />, sort: (row) => row.service, class: "hide-medium" },
        ]}
      />
    </Split>
  );
}

function StatementDetail({ one }: { one: Statement }) {
  return (
    <>
      <SqlBlock text={one.formatted || one.text} />
      <div class="actions">
        {one.slowest_trace_id && <a class="button primary" href={address("trace", [one.slowest_trace_id, ...(one.slowest_span_id ? [one.slowest_span_id] : [])])}>{t("slowest_trace")}</a>}
      </div>
      {one.can_explain && one.slowest_trace_id && one.slowest_span_id && <Explain key={one.slowest_span_id} traceId={one.slowest_trace_id} spanId={one.slowest_span_id} />}
      <dl class="facts">
        <div><dt>{t("count")}</dt><dd>{count(one.count)}</dd></div>
        <div><dt>p50</dt><dd><Duration value={one.p50} slow={100} /></dd></div>
        <div><dt>p95</dt><dd><Duration value={one.p95} slow={100} /></dd></div>
        <div><dt>{t("max")}</dt><dd><Duration value={one.max} slow={100} /></dd></div>
        <div><dt>{t("total_time")}</dt><dd><Duration value={one.total} slow={Infinity} /></dd></div>
        <div><dt>{t("errors")}</dt><dd>{count(one.errors)}</dd></div>
      </dl>
      {one.repeated_in > 0 && <p class="hint"><Badge kind="warn">N+1</Badge> {t("repeated_in", { n: one.repeated_in })}</p>}
      {one.sources.length > 0 && (
        <Section title={t("sources")} count={one.sources.length}>
          <ul class="plain">
            {one.sources.map((source) => (
              <li key={source.source}><code>{source.source}</code><span class="number dim">×{count(source.count)}</span></li>
            ))}
          </ul>
        </Section>
      )}
    </>
  );
}
