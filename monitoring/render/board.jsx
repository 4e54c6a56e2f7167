// Renders one board as Grafana lays it out. `window.BOARD_DATA` holds the board and what the real Prometheus answered to each query.
// Charts, numbers, bars, tables and frames are Grafana's own components (@grafana/ui); heatmaps and log lines, whose panels
// are under the AGPL, are drawn here.
import React from "react";
import { createRoot } from "react-dom/client";
import {
  applyFieldOverrides, createTheme, dateTime, FieldType, getFieldDisplayName, standardTransformers,
  standardTransformersRegistry, ThemeContext, toDataFrame, transformDataFrame,
} from "@grafana/data";
import plotStyle from "uplot/dist/uPlot.min.css";
import { BarGauge, BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from "@grafana/ui";

// With virtual time a headless page renders no frames, so the browser's own observer never reports a size.
window.ResizeObserver = class {
  constructor(report) { this.report = report; }
  observe(target) { setTimeout(() => this.report([{ target, contentRect: target.getBoundingClientRect() }], this)); }
  unobserve() {}
  disconnect() {}
};

const data = window.BOARD_DATA;
const theme = createTheme({ colors: { mode: "dark" } });
const CELL = 30, GAP = 8, WIDTH = 1500;
const column = (WIDTH - 23 * GAP) / 24;
const [FROM, TO] = data.range.map((seconds) => seconds * 1000);

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer]
    .map((transformation) => ({ id: transformation.id, name: transformation.name, transformation: () => Promise.resolve(transformation), editor: () => Promise.resolve(() => null) })));

// --- frames ------------------------------------------------------------------------------------------------------------

const legend = (format, labels) =>
  format ? format.replace(/\{\{(\w+)\}\}/g, (_, name) => labels[name] ?? "")
    : Object.entries(labels).filter(([name]) => name !== "__name__").map(([name, value]) => `${name}="${value}"`).join(", ") || "Value";

function graphFrames(answers) {
  return answers.flatMap(({ target, result, step }) => result.map(({ metric, values, value }) => {
    const { __name__, ...labels } = metric;
    const points = values ? withGaps(values, step) : [value];
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: "Time", type: FieldType.time, values: points.map(([time]) => time * 1000) },
        { name: "Value", type: FieldType.number, labels, values: points.map(([, number]) => (number === null ? null : Number(number))),
          config: { displayNameFromDS: legend(target.legendFormat, metric) } },
      ],
    });
  }));
}

// A step without a sample becomes a gap.
function withGaps(values, step) {
  const out = [];
  values.forEach(([time, value], index) => {
    const before = index ? values[index - 1][0] : time;
    if (step && time - before > step * 1.5) out.push([before + step, null]);
    out.push([time, value === "NaN" ? null : value]);
  });
  return out;
}

function tableFrames(answers) {
  return answers.map(({ target, result }) => {
    const names = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].filter((name) => name !== "__name__");
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: "Time", type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
        ...names.map((name) => ({ name, type: FieldType.string, values: result.map(({ metric }) => metric[name] ?? "") })),
        { name: answers.length > 1 ? `Value #${target.refId}` : "Value", type: FieldType.number, values: result.map(({ value }) => Number(value[1])) },
      ],
    });
  });
}

const setPath = (object, path, value) => {
  const keys = path.split(".");
  const last = keys.pop();
  keys.reduce((at, key) => (at[key] ??= {}), object)[last] = value;
};

function withConfig(frames, panel) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  for (const frame of frames) {
    for (const field of frame.fields) {
      if (field.type === FieldType.time) continue;
      const config = { ...structuredClone(field.type === FieldType.number || panel.type === "table" ? defaults : {}), ...field.config };
      const name = getFieldDisplayName({ ...field, config }, frame, frames);
      for (const { matcher, properties } of overrides) {
        if (matcher.options === name) properties.forEach(({ id, value }) => setPath(config, id, value));
      }
      delete config.links;
      field.config = config;
    }
  }
  return applyFieldOverrides({ data: frames, fieldConfig: { defaults: {}, overrides: [] }, theme, replaceVariables: (text) => text, timeZone: "utc" });
}

const timeRange = (begin = FROM) => ({ from: dateTime(begin), to: dateTime(TO), raw: { from: dateTime(begin), to: dateTime(TO) } });

// --- panels ------------------------------------------------------------------------------------------------------------

const Empty = ({ text }) => <div style={{ display: "grid", placeItems: "center", height: "100%", color: theme.colors.text.secondary }}>{text}</div>;

function Chart({ panel, answers, width, height }) {
  const frames = withConfig(graphFrames(answers), panel);
  if (!frames.length) return <Empty text={panel.fieldConfig.defaults.noValue ?? "No data"} />;
  const begin = panel.timeFrom === "30d" ? TO - 30 * 86400e3 : FROM;
  const marks = (builder) => {
    builder.setPadding([null, 20, null, null]);  // room for the last label of the time axis
    builder.addHook("draw", (plot) => {
      const at = (time) => plot.valToPos(time, "x", true);
      const { ctx } = plot;
      ctx.save();
      for (const mark of data.marks) {
        ctx.strokeStyle = ctx.fillStyle = theme.visualization.getColorByName(mark.colour);
        ctx.globalAlpha = 0.5;
        ctx.setLineDash([4, 4]);
        ctx.beginPath(); ctx.moveTo(at(mark.time), plot.bbox.top); ctx.lineTo(at(mark.time), plot.bbox.top + plot.bbox.height); ctx.stroke();
        ctx.beginPath(); ctx.moveTo(at(mark.time) - 4, plot.bbox.top + plot.bbox.height + 6); ctx.lineTo(at(mark.time), plot.bbox.top + plot.bbox.height); ctx.lineTo(at(mark.time) + 4, plot.bbox.top + plot.bbox.height + 6); ctx.fill();
      }
      const exemplars = exemplarsOf(answers);
      const scale = Object.keys(plot.scales).find((name) => name !== "x");
      ctx.setLineDash([]);
      ctx.globalAlpha = 0.9;
      ctx.fillStyle = theme.visualization.getColorByName("blue");
      for (const { time, value } of exemplars) {
        const y = plot.valToPos(value, scale, true);
        if (y < plot.bbox.top) continue;
        ctx.save(); ctx.translate(at(time), y); ctx.rotate(Math.PI / 4); ctx.fillRect(-3, -3, 6, 6); ctx.restore();
      }
      ctx.restore();
    });
    return null;
  };
  return (
    <TimeSeries frames={frames} timeRange={timeRange(begin)} timeZone="utc" width={width} height={height} legend={panel.options.legend}
      options={panel.options} replaceVariables={(text) => text}>{panel.timeFrom ? () => null : marks}</TimeSeries>
  );
}

const exemplarsOf = (answers) =>
  data.exemplars.filter(({ metric }) => answers.some(({ target }) => target.exemplar && target.expr.includes(`${metric}_bucket`)));

const lastOf = (field) => [...field.values].reverse().find((value) => value !== null && value !== undefined);

function Stat({ panel, answers, width, height }) {
  const [frame] = withConfig(graphFrames(answers), panel);
  const field = frame?.fields[1];
  const empty = { text: panel.fieldConfig.defaults.noValue ?? "-", color: theme.visualization.getColorByName("text"), numeric: NaN };
  if (!field) empty.color = undefined;
  const value = field ? field.display(lastOf(field)) : { ...empty, color: theme.colors.background.secondary };
  const named = panel.options.textMode === "value_and_name" && field;
  return <BigValue value={{ ...value, title: named ? getFieldDisplayName(field, frame) : undefined }} width={width} height={height} theme={theme}
    colorMode={panel.options.colorMode} graphMode="none" justifyMode="auto" textMode={named ? "value_and_name" : "value"} />;
}

function BarGaugePanel({ panel, answers, width, height }) {
  const frames = withConfig(graphFrames(answers), panel);
  if (!frames.length) return <Empty text={panel.fieldConfig.defaults.noValue} />;
  const values = frames.map((frame) => [frame.fields[1], frame.fields[1].display(lastOf(frame.fields[1]))]);
  const top = Math.max(...values.map(([, value]) => value.numeric), 1e-9);
  const each = Math.min(32, height / values.length - 8);
  return <div style={{ padding: "0 8px" }}>{values.map(([field, value], index) => (
    <div key={index} style={{ marginBottom: 8 }}>
      <BarGauge display={field.display} value={{ ...value, title: getFieldDisplayName(field, frames[index]) }} field={{ ...field.config, max: top, min: 0 }}
        theme={theme} orientation="horizontal" displayMode="basic" namePlacement={panel.options.namePlacement} width={width - 16} height={each} itemSpacing={8} lcdCellWidth={12}
        showUnfilled alignmentFactors={{ title: values.map(([f], i) => getFieldDisplayName(f, frames[i])).reduce((a, b) => (a.length > b.length ? a : b)), text: values.map(([, v]) => `${v.text}${v.suffix ?? ""}`).reduce((a, b) => (a.length > b.length ? a : b)) }} />
    </div>))}</div>;
}

function TablePanel({ panel, answers, width, height }) {
  const [frame, setFrame] = React.useState(null);
  React.useEffect(() => {
    const known = panel.transformations.map(({ id, options }) => ({ id, options }));
    transformDataFrame(known, tableFrames(answers)).subscribe((frames) => setFrame(withConfig(frames, panel)[0] ?? null));
  }, []);
  if (!frame || !frame.length) return <Empty text={panel.fieldConfig.defaults.noValue} />;
  const sort = panel.options.sortBy?.[0];
  const field = sort && frame.fields.find((one) => getFieldDisplayName(one, frame) === sort.displayName);
  if (field) {
    const order = [...field.values.keys()].sort((a, b) => (field.values[b] ?? 0) - (field.values[a] ?? 0));
    frame.fields.forEach((one) => { one.values = order.map((index) => one.values[index]); });
  }
  return <Table data={frame} width={width} height={height} cellHeight="sm" timeRange={timeRange()} />;
}

function Heatmap({ answers, width, height, panel }) {
  const ref = React.useRef(null);
  React.useEffect(() => {
    const rows = answers.flatMap(({ result }) => result).map(({ metric, values }) => ({ le: metric.le === "+Inf" ? Infinity : Number(metric.le), values: new Map(values) })).sort((a, b) => a.le - b.le);
    const cells = rows.map((row, index) => [...row.values].map(([time, value]) => [time, Math.max(0, value - (rows[index - 1]?.values.get(time) ?? 0))]));
    const top = Math.max(...cells.flat().map(([, value]) => value));
    const ctx = ref.current.getContext("2d");
    const [left, bottom] = [52, 22], [w, h] = [width - left - 8, height - bottom - 26];
    const tall = h / rows.length, step = answers[0].step, wide = (w * step * 1000) / (TO - FROM);
    const x = (time) => left + (w * (time - FROM)) / (TO - FROM);
    ctx.font = `12px ${theme.typography.fontFamily}`;
    cells.forEach((row, index) => {
      ctx.fillStyle = theme.colors.text.secondary; ctx.textAlign = "right";
      if (index % 2 === 0) ctx.fillText(rows[index].le === Infinity ? "+Inf" : rows[index].le < 1 ? `${rows[index].le * 1000} ms` : `${rows[index].le} s`, left - 6, h - tall * index - 1);
      for (const [time, value] of row) {
        if (value < 1e-9) continue;
        const part = Math.sqrt(value / top);
        ctx.fillStyle = `hsl(${40 - 30 * part} 90% ${18 + 48 * part}%)`;
        ctx.fillRect(x(time * 1000) - wide, h - tall * (index + 1), Math.max(wide - 1, 1), tall - 1);
      }
    });
    ctx.textAlign = "center"; ctx.fillStyle = theme.colors.text.secondary;
    for (let time = Math.ceil(FROM / 10800e3) * 10800e3; time < TO; time += 10800e3) ctx.fillText(new Date(time).toISOString().slice(11, 16), x(time), h + 16);
    const band = (value) => { const at = rows.findIndex((row) => value <= row.le); return h - tall * (at + 0.5); };
    ctx.fillStyle = "rgb(255,0,255)";
    for (const { time, value } of exemplarsOf(answers)) { ctx.save(); ctx.translate(x(time), band(value)); ctx.rotate(Math.PI / 4); ctx.fillRect(-3, -3, 6, 6); ctx.restore(); }
    for (let index = 0; index < 64; index++) { ctx.fillStyle = `hsl(${40 - 30 * (index / 64)} 90% ${18 + 48 * (index / 64)}%)`; ctx.fillRect(left + index * 3, h + 30, 3, 8); }
    ctx.fillStyle = theme.colors.text.secondary; ctx.textAlign = "left"; ctx.fillText(`0 to ${top.toFixed(2)} ${panel.options.cellValues.unit.replace("count:", "").replace("reqps", "req/s")}`, left + 204, h + 38);
  }, []);
  return answers.flatMap(({ result }) => result).length ? <canvas ref={ref} width={width} height={height} /> : <Empty text="No data" />;
}

const LEVELS = { error: "red", critical: "purple", warning: "orange", warn: "orange" };

function Logs({ panel, height }) {
  const lines = data.logs[panel.id] ?? [];
  if (!lines.length) return <Empty text="No lines" />;
  return <div style={{ height, overflow: "hidden", fontFamily: theme.typography.fontFamilyMonospace, fontSize: 12, lineHeight: "20px" }}>
    {lines.slice(0, Math.floor(height / 20)).map(({ time, level, text, trace_id }, index) => (
      <div key={index} style={{ display: "flex", gap: 10, whiteSpace: "nowrap", overflow: "hidden", borderLeft: `3px solid ${theme.visualization.getColorByName(LEVELS[level] ?? "blue")}`, padding: "0 8px" }}>
        <span style={{ color: theme.colors.text.secondary }}>{new Date(time * 1000).toISOString().slice(11, 23)}</span>
        <span style={{ color: theme.visualization.getColorByName(LEVELS[level] ?? "blue"), width: 62 }}>{level}</span>
        <span style={{ flex: 1, overflow: "hidden", textOverflow: "ellipsis" }}>{text.split("\n")[0]}</span>
        {trace_id && <span style={{ color: theme.colors.text.link }}>Trace: {trace_id.slice(0, 12)}…</span>}
      </div>))}
  </div>;
}

const PANELS = { timeseries: Chart, stat: Stat, bargauge: BarGaugePanel, table: TablePanel, heatmap: Heatmap, logs: Logs };

class Safe extends React.Component {
  state = { error: null };
  static getDerivedStateFromError(error) { return { error }; }
  render() { return this.state.error ? <div className="broken">{String(this.state.error)}</div> : this.props.children; }
}

function Placed({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const at = { position: "absolute", left: x * (column + GAP), top: y * (CELL + GAP) };
  const [width, height] = [w * column + (w - 1) * GAP, h * CELL + (h - 1) * GAP];
  if (panel.type === "row") return <h2 style={{ ...at, ...theme.typography.h5, margin: 0, paddingTop: 6 }}>{panel.collapsed ? "›" : "⌄"} {panel.title}{panel.collapsed ? ` (${panel.panels.length} panels)` : ""}</h2>;
  const Kind = PANELS[panel.type];
  return <div style={{ ...at, width, height }}>
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height} padding={panel.type === "stat" ? "none" : "sm"}>
      {(innerWidth, innerHeight) => <Safe><Kind panel={panel} answers={data.answers[panel.id] ?? []} width={innerWidth} height={innerHeight} /></Safe>}
    </PanelChrome>
  </div>;
}

function Board() {
  const { board } = data;
  const height = Math.max(...board.panels.map(({ gridPos: { y, h } }) => y + h)) * (CELL + GAP);
  const chip = { background: theme.colors.background.secondary, border: `1px solid ${theme.colors.border.medium}`, borderRadius: 2, padding: "4px 10px" };
  return <div style={{ width: WIDTH, padding: 16, background: theme.colors.background.canvas, color: theme.colors.text.primary, ...theme.typography.body }}>
    <div style={{ display: "flex", gap: 10, alignItems: "center", marginBottom: 14 }}>
      <b style={{ ...theme.typography.h4, flex: 1 }}>{board.title}</b>
      {board.templating.list.filter(({ hide }) => hide !== 2).map(({ name, label, current }) => <span key={name} style={chip}>{label}: <b>{[current.text].flat().join(", ")}</b></span>)}
      <span style={chip}>{[FROM, TO].map((time) => new Date(time).toISOString().slice(0, 16).replace("T", " ")).join(" to ")}</span>
    </div>
    <div style={{ position: "relative", height }}>{board.panels.map((panel) => <Placed key={panel.id} panel={panel} />)}</div>
  </div>;
}

// Grafana measures text in Inter. Without that font the browser would measure in one font and draw in a wider one.
const font = '@font-face { font-family: Inter; src: local("Inter Regular"), local("Inter"), local("DejaVu Sans Condensed"), local("Liberation Sans"), local("Arial"); }';
document.head.append(Object.assign(document.createElement("style"), { textContent: plotStyle + font }));
document.body.style.margin = "0";
document.fonts.load("12px Inter").finally(() => {
  createRoot(document.getElementById("board")).render(<ThemeContext.Provider value={theme}><GlobalStyles /><Board /></ThemeContext.Provider>);
});
