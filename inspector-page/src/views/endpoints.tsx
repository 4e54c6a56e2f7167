/** The routes with their counts and durations. */

import { useState } from "preact/hooks";
import { Table } from "../components/table.tsx";
import { Duration, DurationBar, Empty, Method, Problem, ServiceName, ViewHead, withText } from "../components/parts.tsx";
import { Split } from "../components/split.tsx";
import { ago, count, significant } from "../format.ts";
import { useNow } from "../hooks.ts";
import { t } from "../i18n.ts";
import { useData } from "../live.ts";
import { word } from "../query.ts";
import { address, go } from "../route.ts";
import type { Endpoint } from "../types.ts";

const key = (one: Endpoint): string => `${one.service} ${one.method} ${one.route}`;

export function queryOf(one: Endpoint): string {
  return [one.route ? word("route:", one.route) : "", one.method ? `method:${one.method}` : "", word("service:", one.service)].filter(Boolean).join(" ");
}

export function EndpointsView() {
  const { data, error } = useData<{ endpoints: Endpoint[] }>("/api/endpoints", 600);
  const [selected, select] = useState<string | null>(null);
  const [text, setText] = useState("");
  const now = useNow();
  if (error && !data) return <Problem text={error} />;
  const all = data?.endpoints ?? [];
  const rows = withText(all, text, (row) => `${row.method} ${row.route ?? ""} ${row.service}`);
  if (data && all.length === 0) return <Empty title={t("no_endpoints")} />;
  const one = rows.find((row) => key(row) === selected);
  const open = (row: Endpoint): void => go(address("requests", [], { q: queryOf(row) }));
  return (
    <Split title={one ? <><Method method={one.method} /> <span class="mono">{one.route ?? t("no_route")}</span></> : null} onClose={() => select(null)} detail={one ? <EndpointDetail one={one} /> : null}>
      <ViewHead title={t("view_endpoints")} count={rows.length} text={text} onText={setText} />
      <Table
        rows={rows} id={key} sortedBy="p95" selected={selected} onSelect={select} onOpen={open} label={t("endpoints")}
        columns={[
          { id: "method", title: t("method"), cell: (row) => <Method method={row.method} />, sort: (row) => row.method ?? "", class: "fit hide-narrow" },
          { id: "route", title: t("route"), cell: (row) => <span class="route-line"><span class="narrow-only"><Method method={row.method} /></span><span class="main ellipsis">{row.route ?? t("no_route")}</span></span>, sort: (row) => row.route ?? "", class: "grow" },
          { id: "count", title: t("count"), cell: (row) => count(row.count), sort: (row) => row.count, right: true },
          { id: "errors", title: t("errors"), cell: (row) => <ErrorShare count={row.count} errors={row.errors} />, sort: (row) => row.errors / Math.max(1, row.count), right: true },
          { id: "p50", title: "p50", cell: (row) => <Duration value={row.p50} />, sort: (row) => row.p50, right: true, class: "hide-narrow" },
          { id: "p95", title: "p95", cell: (row) => <span class="with-meter"><DurationBar value={row.p95} /><Duration value={row.p95} /></span>, sort: (row) => row.p95, right: true },
          { id: "max", title: t("max"), cell: (row) => <Duration value={row.max} />, sort: (row) => row.max, right: true, class: "hide-narrow" },
          { id: "statements", title: t("sql_mean"), cell: (row) => (row.statements_mean ? <>{row.statements_mean.toFixed(1)}</> : <span class="zero">·</span>), sort: (row) => row.statements_mean, right: true, class: "hide-narrow" },
          { id: "last", title: t("last_seen"), cell: (row) => <span class="dim">{ago(row.last_start, now)}</span>, sort: (row) => row.last_start, right: true, class: "hide-medium" },
          { id: "service", title: t("service"), cell: (row) => <ServiceName name={row.service} />, sort: (row) => row.service, class: "hide-narrow" },
        ]}
      />
    </Split>
  );
}

export function ErrorShare({ count: all, errors }: { count: number; errors: number }) {
  if (errors === 0) return <span class="zero">·</span>;
  return <span class="error-text">{count(errors)} <span class="unit">({significant((100 * errors) / Math.max(1, all))} %)</span></span>;
}

function EndpointDetail({ one }: { one: Endpoint }) {
  return (
    <>
      <dl class="facts">
        <div><dt>{t("count")}</dt><dd>{count(one.count)}</dd></div>
        <div><dt>{t("errors")}</dt><dd><ErrorShare count={one.count} errors={one.errors} /></dd></div>
        <div><dt>p50</dt><dd><Duration value={one.p50} /></dd></div>
        <div><dt>p95</dt><dd><Duration value={one.p95} /></dd></div>
        <div><dt>{t("max")}</dt><dd><Duration value={one.max} /></dd></div>
        <div><dt>{t("sql_mean")}</dt><dd>{significant(one.statements_mean)}</dd></div>
      </dl>
      <div class="actions">
        <a class="button primary" href={address("requests", [], { q: queryOf(one) })}>{t("show_requests")}</a>
        {one.errors > 0 && <a class="button" href={address("requests", [], { q: `${queryOf(one)} is:error` })}>{t("show_failed")}</a>}
        {one.slowest_trace_id && <a class="button" href={address("trace", [one.slowest_trace_id])}>{t("slowest_trace")}</a>}
      </div>
    </>
  );
}
