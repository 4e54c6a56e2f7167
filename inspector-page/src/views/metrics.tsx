/** The metrics: each series as a small chart, histograms as percentiles, exemplars that open their trace. */

import { useState } from "preact/hooks";
import { Chart } from "../components/chart.tsx";
import { attributeLine, Badge, Empty, Problem, ServiceName } from "../components/parts.tsx";
import { FilterBar } from "../components/filter.tsx";
import { count, measured } from "../format.ts";
import { useKeys, useSeen } from "../hooks.ts";
import { t } from "../i18n.ts";
import { useData } from "../live.ts";
import { address, goInPlace, type Route } from "../route.ts";
import { byName, labels, latest, plotted } from "../series.ts";
import type { Metric, MetricSeries, Series } from "../types.ts";

const FEW = 8; // series that are shown at first

export function MetricsView({ route }: { route: Route }) {
  const query = route.query.get("q") ?? "";
  const { data, error } = useData<{ metrics: Metric[] }>("/api/metrics", 3000);
  const setQuery = (to: string): void => goInPlace(address("metrics", [], { q: to }));
  useKeys({ Escape: () => setQuery("") });
  if (error && !data) return <Problem text={error} />;
  const all = [...(data?.metrics ?? [])].sort((a, b) => a.service.localeCompare(b.service) || byName(a, b));
  if (data && all.length === 0) return <Empty title={t("no_metrics")} />;
  const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all.filter((one) => terms.every((term) => `${one.name} ${one.description} ${one.service} ${one.type}`.toLowerCase().includes(term)));
  const services = [...new Set(found.map((one) => one.service))];
  const prefixes = [...new Set(all.map((one) => one.name.split(".").slice(0, 2).join(".")))];
  return (
    <div class="view">
      <FilterBar query={query} onChange={setQuery} suggestions={[...prefixes.map((one) => ({ word: one, help: "" })), { word: "histogram", help: "" }]} placeholder={t("filter_metrics")} error={null}>
        {["counter", "updown", "gauge", "histogram"].map((type) => (
          <button key={type} type="button" class={`chip ${terms.includes(type) ? "active" : ""}`} aria-pressed={terms.includes(type)} onClick={() => setQuery(terms.includes(type) ? terms.filter((one) => one !== type).join(" ") : [...terms, type].join(" "))}>{t(`type_${type as Metric["type"]}`)}</button>
        ))}
        <span class="result-count">{t("n_metrics", { n: found.length })}</span>
      </FilterBar>
      <div class="scroller metrics">
        {found.length === 0 && data && <Empty title={t("nothing_found")} />}
        {services.map((service) => (
          <section key={service}>
            {(services.length > 1 || found.length > 0) && <h2 class="metrics-service"><ServiceName name={service} /></h2>}
            {found.filter((one) => one.service === service).map((one) => <MetricPanel key={one.id} metric={one} />)}
          </section>
        ))}
      </div>
    </div>
  );
}

function MetricPanel({ metric }: { metric: Metric }) {
  const [frame, seen] = useSeen<HTMLElement>();
  const [all, setAll] = useState(false);
  const { data } = useData<MetricSeries>(seen ? `/api/metrics/${encodeURIComponent(metric.id)}` : null, 2000);
  const series = [...(data?.series ?? [])].sort((a, b) => (latest(b, metric.type) ?? 0) - (latest(a, metric.type) ?? 0));
  const names = labels(series).map(attributeLine);
  const shown = all ? series : series.slice(0, FEW);
  return (
    <article class="metric" ref={frame}>
      <header>
        <h3 class="mono">{metric.name}</h3>
        <Badge kind="quiet">{t(`type_${metric.type}`)}{metric.type === "counter" ? ` · ${t("per_second")}` : ""}</Badge>
        {metric.description && <p class="dim">{metric.description}</p>}
      </header>
      <div class="charts" style={{ minHeight: seen ? undefined : `${Math.min(metric.series, 4) > 0 ? 130 : 0}px` }}>
        {shown.map((one, index) => <SeriesChart key={attributeLine(one.attributes) || index} series={one} label={names[index] ?? ""} metric={metric} />)}
      </div>
      {series.length > FEW && <button type="button" class="button" onClick={() => setAll(!all)}>{t(all ? "show_fewer" : "show_all_series", { n: count(series.length) })}</button>}
    </article>
  );
}

function SeriesChart({ series, label, metric }: { series: Series; label: string; metric: Metric }) {
  const value = latest(series, metric.type);
  return (
    <figure class="chart">
      <figcaption>
        <span class="ellipsis mono dim" title={label}>{label || t("no_attributes_short")}</span>
        <span class="number current">{value === null ? "–" : measured(value, metric.unit)}{metric.type === "histogram" && <span class="unit"> p95</span>}</span>
      </figcaption>
      <Chart plotted={plotted(series, metric.type)} unit={metric.unit} rate={metric.type === "counter"} exemplars={series.exemplars} />
    </figure>
  );
}
