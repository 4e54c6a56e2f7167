/** The points of a series as what a chart draws. */

import type { Attributes, HistogramPoint, Metric, NumberPoint, Series } from "./types.ts";

const INSTANCE = "service.instance.id";
const INTERNAL = /^(blogauto_otel|otel\.sdk)\./;

export interface Plotted {
  times: number[]; // Unix seconds
  lines: { label: string; values: (number | null)[] }[];
}

/** Each series' own attributes: without the instance where all series have the same, else its first characters, last. */
export function labels(series: Series[]): Attributes[] {
  const several = new Set(series.map((one) => one.attributes[INSTANCE])).size > 1;
  return series.map(({ attributes: { [INSTANCE]: instance, ...rest } }) => (several && instance !== undefined ? { ...rest, instance: String(instance).slice(0, 8) } : rest));
}

/** Metrics in the order of their names; those about the export of telemetry itself come last. */
export function byName(a: Metric, b: Metric): number {
  return Number(INTERNAL.test(a.name)) - Number(INTERNAL.test(b.name)) || a.name.localeCompare(b.name);
}

/** Counters as increase per second, histograms as percentiles, everything else as it is. */
export function plotted(series: Series, type: Metric["type"]): Plotted {
  const times = series.points.map((point) => point.time / 1000);
  if (type === "histogram") {
    const points = series.points as HistogramPoint[];
    const names = ["p50", "p95", "p99"] as const;
    return { times, lines: names.map((label) => ({ label, values: points.map((point) => point[label]) })) };
  }
  const points = series.points as NumberPoint[];
  if (type === "counter" && points.length > 1) return { times: times.slice(1), lines: [{ label: "", values: rates(points) }] };
  return { times, lines: [{ label: "", values: points.map((point) => point.value) }] };
}

/** The increase per second between points; a value below the one before is a restart from zero. */
export function rates(points: NumberPoint[]): (number | null)[] {
  return points.slice(1).map((point, index) => {
    const before = points[index] as NumberPoint;
    const seconds = (point.time - before.time) / 1000;
    if (seconds <= 0) return null;
    const increase = point.value >= before.value ? point.value - before.value : point.value;
    return increase / seconds;
  });
}

/** The last known value: a counter's total, a histogram's p95. */
export function latest(series: Series, type: Metric["type"]): number | null {
  if (type === "histogram") return (series.points as HistogramPoint[]).findLast((point) => point.p95 !== null)?.p95 ?? null;
  return (series.points as NumberPoint[]).at(-1)?.value ?? null;
}
