/** Errors, grouped by type and place. */

import { useState } from "preact/hooks";
import { Table } from "../components/table.tsx";
import { Empty, Problem, ServiceName, Stack, ViewHead, withText } from "../components/parts.tsx";
import { Split } from "../components/split.tsx";
import { ago, count, instant } from "../format.ts";
import { useNow } from "../hooks.ts";
import { t } from "../i18n.ts";
import { useData } from "../live.ts";
import { word } from "../query.ts";
import { address, go } from "../route.ts";
import type { ErrorGroup } from "../types.ts";

export function ErrorsView() {
  const { data, error } = useData<{ errors: ErrorGroup[] }>("/api/errors", 600);
  const [selected, select] = useState<string | null>(null);
  const [text, setText] = useState("");
  const now = useNow();
  if (error && !data) return <Problem text={error} />;
  const all = data?.errors ?? [];
  const rows = withText(all, text, (row) => `${row.type} ${row.message} ${row.route} ${row.service}`);
  if (data && all.length === 0) return <Empty title={t("no_errors")} />;
  const one = rows.find((row) => row.fingerprint === selected);
  return (
    <Split title={one ? <span class="error-text mono">{one.type}</span> : null} onClose={() => select(null)} detail={one ? <ErrorDetail one={one} /> : null}>
      <ViewHead title={t("view_errors")} count={rows.length} text={text} onText={setText} />
      <Table
        class="tall" rows={rows} id={(row) => row.fingerprint} sortedBy="last" selected={selected} onSelect={select} onOpen={(row) => row.trace_id && go(address("trace", [row.trace_id]))} label={t("errors")}
        columns={[
          { id: "type", title: t("error"), cell: (row) => <div class="two-lines"><span class="error-text mono">{row.type}</span><span class="ellipsis dim" title={row.message}>{row.message}</span></div>, sort: (row) => row.type, class: "grow" },
          { id: "route", title: t("route"), cell: (row) => <span class="mono ellipsis">{row.route ?? "–"}</span>, sort: (row) => row.route ?? "", class: "hide-medium route-cell" },
          { id: "count", title: t("count"), cell: (row) => count(row.count), sort: (row) => row.count, right: true },
          { id: "first", title: t("first_seen"), cell: (row) => <span class="dim">{ago(row.first, now)}</span>, sort: (row) => row.first, right: true, class: "hide-medium" },
          { id: "last", title: t("last_seen"), cell: (row) => <span class="dim">{ago(row.last, now)}</span>, sort: (row) => row.last, right: true },
          { id: "service", title: t("service"), cell: (row) => <ServiceName name={row.service} />, sort: (row) => row.service, class: "hide-narrow" },
        ]}
      />
    </Split>
  );
}

function ErrorDetail({ one }: { one: ErrorGroup }) {
  return (
    <>
      <dl class="facts">
        <div><dt>{t("count")}</dt><dd>{count(one.count)}</dd></div>
        <div><dt>{t("first_seen")}</dt><dd class="number">{instant(one.first)}</dd></div>
        <div><dt>{t("last_seen")}</dt><dd class="number">{instant(one.last)}</dd></div>
        {one.route && <div><dt>{t("route")}</dt><dd class="mono">{one.route}</dd></div>}
      </dl>
      <div class="actions">
        {one.trace_id && <a class="button primary" href={address("trace", [one.trace_id])}>{t("latest_trace")}</a>}
        {one.route && <a class="button" href={address("requests", [], { q: `${word("route:", one.route)} is:error` })}>{t("show_failed")}</a>}
      </div>
      <Stack failure={{ type: one.type, message: one.message, stacktrace: one.stacktrace ?? "" }} />
    </>
  );
}
