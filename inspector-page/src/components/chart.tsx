/** A small chart of one series, with its exemplars as points that open their trace. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clockSeconds, measured } from "../format.ts";
import { useSize } from "../hooks.ts";
import { language, t } from "../i18n.ts";
import { address, go } from "../route.ts";
import type { Plotted } from "../series.ts";
import type { Exemplar } from "../types.ts";
import { resolved } from "./scatter.tsx";

const HEIGHT = 104;
const LEAST_SECONDS = 30; // of the time axis
const FEW_POINTS = 40; // are drawn as points, too: a line needs two without a gap

interface Props {
  plotted: Plotted;
  unit: string;
  rate: boolean;
  exemplars: Exemplar[];
}

export function Chart({ plotted, unit, rate, exemplars }: Props) {
  const [frame, { width }] = useSize<HTMLDivElement>();
  const chart = useRef<uPlot | null>(null);
  const tip = useRef<HTMLDivElement>(null);
  const current = useRef({ exemplars, plotted });
  current.current = { exemplars, plotted };
  const theme = document.documentElement.dataset["theme"] ?? "";

  useEffect(() => {
    const element = frame.current;
    if (!element || width === 0) return undefined;
    const made = new uPlot(options(), data(plotted), element);
    chart.current = made;
    return () => {
      made.destroy();
      chart.current = null;
    };
  }, [theme, width > 0, plotted.lines.length, language()]);
  useEffect(() => chart.current?.setSize({ width, height: HEIGHT }), [width]);
  useEffect(() => chart.current?.setData(data(plotted)), [plotted]);

  function options(): uPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => resolved(style.getPropertyValue(name).trim());
    const strokes = plotted.lines.length > 1 ? ["--chart-2", "--chart-1", "--chart-3"].map(color) : [color("--chart-1")];
    const suffix = rate ? "/s" : "";
    const text = (value: number): string => `${measured(value, rate && unit === "s" ? "" : unit)}${suffix}`;
    const font = `10px ${style.getPropertyValue("--mono")}`;
    return {
      width,
      height: HEIGHT,
      padding: [6, 26, 0, 0],
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: false, y: false }, y: false },
      scales: { x: { range: (_, low, high) => [Math.min(low ?? 0, (high ?? 0) - LEAST_SECONDS), high ?? 1] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? (high ?? 0) * 1.15 : 1] } },
      axes: [
        { stroke: color("--text-3"), font, size: 25, gap: 8, space: 70, grid: { show: false }, ticks: { show: false }, values: (_, splits) => splits.map((one) => clockSeconds(one * 1000)) },
        { stroke: color("--text-3"), font, size: 56, gap: 4, space: 26, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, values: (_, splits) => splits.map(text) },
      ],
      series: [
        {},
        ...plotted.lines.map((line, index) => ({
          label: line.label,
          stroke: strokes[index] as string,
          width: line.label === "p95" || line.label === "" ? 1.6 : 1,
          ...(line.label === "" ? { fill: `color-mix(in srgb, ${strokes[index]} 12%, transparent)` } : {}),
          ...(line.label === "p50" ? { dash: [3, 3] } : {}),
          points: { show: (self: uPlot) => isSparse(self.data[index + 1] ?? []), size: 4, fill: strokes[index] as string },
        })),
      ],
      hooks: {
        draw: [(self) => drawExemplars(self, color("--exemplar"))],
        setCursor: [(self) => showTip(self, text)],
        ready: [(self) => self.over.addEventListener("click", () => open(self))],
      },
    };
  }

  function drawExemplars(self: uPlot, stroke: string): void {
    const context = self.ctx;
    const ratio = devicePixelRatio || 1;
    context.save();
    context.strokeStyle = context.fillStyle = stroke;
    for (const one of current.current.exemplars) {
      const [x, y] = place(self, one, rate, true);
      if (x < self.bbox.left || x > self.bbox.left + self.bbox.width) continue;
      context.beginPath();
      context.moveTo(x, y - 3.5 * ratio);
      context.lineTo(x + 3.5 * ratio, y);
      context.lineTo(x, y + 3.5 * ratio);
      context.lineTo(x - 3.5 * ratio, y);
      context.closePath();
      context.fill();
    }
    context.restore();
  }

  function nearest(self: uPlot): Exemplar | null {
    const { left = -1, top = -1 } = self.cursor;
    let best: Exemplar | null = null;
    let distance = 12 ** 2;
    for (const one of current.current.exemplars) {
      const [x, y] = place(self, one, rate, false);
      const away = (x - left) ** 2 + (y - top) ** 2;
      if (away < distance) [best, distance] = [one, away];
    }
    return best;
  }

  function open(self: uPlot): void {
    const one = nearest(self);
    if (one) go(address("trace", [one.trace_id, one.span_id]));
  }

  function showTip(self: uPlot, text: (value: number) => string): void {
    const element = tip.current;
    if (!element) return;
    const index = self.cursor.idx;
    const left = self.cursor.left ?? -1;
    const exemplar = nearest(self);
    self.over.style.cursor = exemplar ? "pointer" : "default";
    if (index === null || index === undefined || left < 0) {
      element.hidden = true;
      return;
    }
    const lines = current.current.plotted.lines.map((line) => `${line.label} ${line.values[index] === null || line.values[index] === undefined ? "–" : text(line.values[index])}`.trim());
    const when = self.data[0][index];
    element.textContent = exemplar ? `${t("exemplar")} ${measured(exemplar.value, unit)} · ${exemplar.trace_id.slice(0, 8)}…` : `${when === undefined ? "" : clockSeconds(when * 1000)}  ${lines.join("  ")}`;
    element.hidden = false;
    const at = left + 60;
    element.style.left = at > width / 2 ? "auto" : `${at + 8}px`;
    element.style.right = at > width / 2 ? `${width - at + 8}px` : "auto";
  }

  return (
    <div class="plot" ref={frame}>
      <div class="tip" ref={tip} hidden />
    </div>
  );
}

/** Whether points stand alone between gaps. */
function isSparse(values: ArrayLike<number | null | undefined>): boolean {
  const known = Array.from(values).filter((one) => one !== null && one !== undefined).length;
  return known < 2 || (known < FEW_POINTS && known < values.length);
}

/** Where an exemplar stands: on its value, but on the axis of a rate, which its value does not measure. */
function place(self: uPlot, one: Exemplar, rate: boolean, canvas: boolean): [number, number] {
  const value = rate ? 0 : Math.min(one.value, self.scales["y"]?.max ?? 0);
  return [self.valToPos(one.time / 1000, "x", canvas), self.valToPos(value, "y", canvas)];
}

function data(plotted: Plotted): uPlot.AlignedData {
  return [plotted.times, ...plotted.lines.map((line) => line.values)] as uPlot.AlignedData;
}
