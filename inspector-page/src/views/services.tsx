/** The map of services: who calls whom, from the spans. */

import { useMemo, useState } from "preact/hooks";
import { Empty, Problem, ServiceName, ViewHead } from "../components/parts.tsx";
import { Split } from "../components/split.tsx";
import { Table } from "../components/table.tsx";
import { assign, colorOf } from "../colors.ts";
import { ago, count, duration, short, significant } from "../format.ts";
import { NARROW, useMedia, useNow } from "../hooks.ts";
import { t } from "../i18n.ts";
import { useData } from "../live.ts";
import { word } from "../query.ts";
import { address, go } from "../route.ts";
import { joined, layout, type Layout, type Node, type Point, type Sizes } from "../servicemap.ts";
import type { Edge, Service, ServiceMap } from "../types.ts";

const WIDTH = 170;
const HEIGHT = 58;

export function ServicesView() {
  const { data: loaded, error } = useData<ServiceMap>("/api/services", 1000);
  const data = useMemo(() => loaded && joined(loaded), [loaded]);
  const [selected, select] = useState<string | null>(null);
  const narrow = useMedia(NARROW);
  const now = useNow();
  if (error && !data) return <Problem text={error} />;
  if (!data) return null;
  if (data.services.length === 0) return <Empty title={t("no_services")} />;
  assign(data.services.map((one) => one.name));
  const one = data.services.find((service) => service.name === selected);
  return (
    <Split title={one ? <ServiceName name={one.name} /> : null} onClose={() => select(null)} detail={one ? <ServiceDetail service={one} edges={data.edges} now={now} /> : null}>
      <div class="services">
        <ViewHead title={t("view_services")} count={data.services.length} />
        <div class="map"><Diagram map={data} down={narrow} selected={selected} onSelect={select} /></div>
        <Table
          rows={data.services} id={(row) => row.name} sortedBy="requests" selected={selected} onSelect={select} onOpen={(row) => go(address("requests", [], { q: word("service:", row.name) }))} label={t("services")}
          columns={[
            { id: "name", title: t("service"), cell: (row) => <ServiceName name={row.name} />, sort: (row) => row.name, class: "grow" },
            { id: "language", title: t("language_of_service"), cell: (row) => <span class="dim">{row.language ?? "–"}</span>, sort: (row) => row.language ?? "", class: "hide-narrow" },
            { id: "version", title: t("version"), cell: (row) => <span class="dim">{row.version ?? "–"}</span>, sort: (row) => row.version ?? "", class: "hide-medium" },
            { id: "instances", title: t("instances"), cell: (row) => count(row.instances), sort: (row) => row.instances, right: true, class: "hide-medium" },
            { id: "requests", title: t("requests"), cell: (row) => count(row.requests), sort: (row) => row.requests, right: true },
            { id: "errors", title: t("errors"), cell: (row) => (row.errors ? <span class="error-text">{count(row.errors)}</span> : <span class="zero">·</span>), sort: (row) => row.errors, right: true },
            { id: "spans", title: t("spans"), cell: (row) => count(row.spans), sort: (row) => row.spans, right: true, class: "hide-narrow" },
            { id: "last", title: t("last_seen"), cell: (row) => <span class="dim">{ago(row.last, now)}</span>, sort: (row) => row.last, right: true, class: "hide-narrow" },
          ]}
        />
      </div>
    </Split>
  );
}

function Diagram({ map, down, selected, onSelect }: { map: ServiceMap; down: boolean; selected: string | null; onSelect: (name: string | null) => void }) {
  const sizes: Sizes = { width: down ? 150 : WIDTH, height: HEIGHT, gap: down ? 62 : 128, space: down ? 14 : 30, down };
  const placed = useMemo(() => layout(map, sizes), [map, down]);
  const services = new Map(map.services.map((one) => [one.name, one]));
  const kinds = new Map(map.edges.map((edge) => [edge.to, edge.kind]));
  return (
    <svg width={placed.width + 32} height={placed.height + 32} viewBox={`-16 -16 ${placed.width + 32} ${placed.height + 32}`} role="img" aria-label={t("map_label")}>
      <defs>
        <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path d="M1 1 7 4 1 7" class="arrow-head" /></marker>
      </defs>
      <Edges map={map} placed={placed} sizes={sizes} selected={selected} />
      {placed.nodes.map((node) => (
        <NodeBox key={node.name} node={node} sizes={sizes} service={services.get(node.name)} kind={kinds.get(node.name) ?? "other"} selected={selected === node.name} onSelect={() => services.has(node.name) && onSelect(selected === node.name ? null : node.name)} />
      ))}
    </svg>
  );
}

function pathOf(from: Node, to: Node, bends: Point[], { width, height, down }: Sizes): { line: string; label: Point } {
  const back = to.layer <= from.layer;
  const start = down ? { x: from.x + width / 2, y: from.y + (back ? 0 : height) } : { x: from.x + (back ? 0 : width), y: from.y + height / 2 };
  const end = down ? { x: to.x + width / 2, y: to.y + (back ? height + 3 : -3) } : { x: to.x + (back ? width + 3 : -3), y: to.y + height / 2 };
  const points = [start, ...bends, end];
  const parts = points.slice(1).map((point, index) => (index % 2 ? `L${point.x} ${point.y}` : curve(points[index] as Point, point, down, back)));
  // The label stands near the called end, where the edges of one caller have parted.
  const last = points.at(-2) as Point;
  const along = 0.58;
  const across = eased(along);
  const label = down ? { x: last.x + (end.x - last.x) * across, y: last.y + (end.y - last.y) * along } : { x: last.x + (end.x - last.x) * along, y: last.y + (end.y - last.y) * across };
  return { line: `M${start.x} ${start.y}${parts.join("")}`, label };
}

function Edges({ map, placed, sizes, selected }: { map: ServiceMap; placed: Layout; sizes: Sizes; selected: string | null }) {
  const at = new Map(placed.nodes.map((node) => [node.name, node]));
  const busiest = Math.max(1, ...map.edges.map((edge) => edge.count));
  const drawn = map.edges.flatMap((edge) => {
    const [from, to] = [at.get(edge.from), at.get(edge.to)];
    if (!from || !to || from === to) return [];
    const quiet = selected !== null && selected !== edge.from && selected !== edge.to;
    return [{ edge, kind: `edge ${edge.kind} ${edge.errors ? "failing" : ""} ${quiet ? "quiet" : ""}`, key: `${edge.from} ${edge.to} ${edge.kind}`, ...pathOf(from, to, placed.bends.get(edge) ?? [], sizes) }];
  });
  return (
    <>
      {drawn.map(({ edge, kind, key, line }) => (
        <g key={key} class={kind}><path d={line} style={{ strokeWidth: `${1.2 + 1.8 * Math.sqrt(edge.count / busiest)}px` }} marker-end="url(#arrow)" /></g>
      ))}
      {drawn.map(({ edge, kind, key, label }) => (
        <g key={`label ${key}`} class={kind} transform={`translate(${label.x} ${label.y})`}>
          <rect x={-41} y={-15} width={82} height={30} rx={5} class="edge-back" />
          <text y={-3} class="edge-count">{short(edge.count)}×{edge.errors ? <tspan class="edge-errors"> {short(edge.errors)} ✕</tspan> : null}</text>
          <text y={10} class="edge-time">p95 {duration(edge.p95)}</text>
        </g>
      ))}
    </>
  );
}

function curve(from: Point, to: Point, down: boolean, back: boolean): string {
  const bend = (back ? -1 : 1) * Math.max(24, (down ? Math.abs(to.y - from.y) : Math.abs(to.x - from.x)) * 0.5);
  return down ? `C${from.x} ${from.y + bend} ${to.x} ${to.y - bend} ${to.x} ${to.y}` : `C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`;
}

/** How far across the curve is at that share of its length along. */
function eased(share: number): number {
  return share * share * (3 - 2 * share);
}

function NodeBox({ node, sizes, service, kind, selected, onSelect }: { node: Node; sizes: Sizes; service: Service | undefined; kind: Edge["kind"]; selected: boolean; onSelect: () => void }) {
  const most = Math.floor((sizes.width - 30) / 7.2);
  const known = service ? node.name : node.name.replace(/\S*\/(?=[^\s/]+$)/, ""); // of a database file its name without folders
  const name = known.length > most ? `${known.slice(0, most - 1)}…` : known;
  const below = service ? `${t("requests_short", { n: short(service.requests) })}${service.errors ? "" : service.language ? ` · ${service.language}` : ""}` : t(`edge_${kind}`);
  return (
    <g class={`node ${service ? "service-node" : "outer-node"} ${selected ? "selected" : ""}`} transform={`translate(${node.x} ${node.y})`} onClick={onSelect} tabIndex={service ? 0 : -1} role={service ? "button" : undefined} aria-label={node.name} onKeyDown={(event) => { if (event.key === "Enter") { event.preventDefault(); onSelect(); } }}>
      <title>{node.name}</title>
      <rect width={sizes.width} height={sizes.height} rx={8} class="node-box" />
      {service ? <rect x={0} y={12} width={3} height={sizes.height - 24} rx={1.5} style={{ fill: colorOf(node.name) }} /> : kind === "database" ? <DatabaseGlyph /> : null}
      <text x={service || kind !== "database" ? 14 : 34} y={25} class="node-name">{name}</text>
      <text x={service || kind !== "database" ? 14 : 34} y={43} class="node-text">
        {below}
        {service && service.errors > 0 ? <tspan class="edge-errors"> · {short(service.errors)} ✕{sizes.down ? "" : ` (${significant((100 * service.errors) / Math.max(1, service.requests))} %)`}</tspan> : null}
      </text>
    </g>
  );
}

function DatabaseGlyph() {
  return <g class="glyph" transform="translate(12 20)"><ellipse cx="7" cy="3" rx="6.5" ry="2.5" /><path d="M.5 3v11c0 1.4 2.9 2.5 6.5 2.5s6.5-1.1 6.5-2.5V3" /></g>;
}

function ServiceDetail({ service, edges, now }: { service: Service; edges: Edge[]; now: number }) {
  const calls = edges.filter((edge) => edge.from === service.name);
  const callers = edges.filter((edge) => edge.to === service.name);
  return (
    <>
      <dl class="facts">
        <div><dt>{t("requests")}</dt><dd>{count(service.requests)}</dd></div>
        <div><dt>{t("errors")}</dt><dd class={service.errors ? "error-text" : ""}>{count(service.errors)}</dd></div>
        <div><dt>{t("spans")}</dt><dd>{count(service.spans)}</dd></div>
        <div><dt>{t("instances")}</dt><dd>{count(service.instances)}</dd></div>
        {service.version && <div><dt>{t("version")}</dt><dd>{service.version}</dd></div>}
        {service.language && <div><dt>{t("language_of_service")}</dt><dd>{service.language}</dd></div>}
        <div><dt>{t("last_seen")}</dt><dd>{ago(service.last, now)}</dd></div>
      </dl>
      <div class="actions">
        <a class="button primary" href={address("requests", [], { q: word("service:", service.name) })}>{t("show_requests")}</a>
        <a class="button" href={address("logs", [], { q: word("service:", service.name) })}>{t("show_logs")}</a>
      </div>
      <EdgeList title={t("calls")} edges={calls} name={(edge) => edge.to} />
      <EdgeList title={t("called_by")} edges={callers} name={(edge) => edge.from} />
    </>
  );
}

function EdgeList({ title, edges, name }: { title: string; edges: Edge[]; name: (edge: Edge) => string }) {
  if (edges.length === 0) return null;
  return (
    <section class="section">
      <h3>{title}</h3>
      <table class="small-table">
        <tbody>
          {edges.map((edge) => (
            <tr key={`${name(edge)} ${edge.kind}`}>
              <td>{name(edge)}</td>
              <td class="dim">{t(`edge_${edge.kind}`)}</td>
              <td class="right number">{count(edge.count)}×</td>
              <td class="right number">p95 {duration(edge.p95)}</td>
              <td class="right number error-text">{edge.errors ? `${count(edge.errors)} ✕` : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
