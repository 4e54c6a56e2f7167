/** The requests of the list by time and duration (logarithmic); a click opens the nearest. */

import { useEffect, useRef, useState } from "preact/hooks";
import { clockSeconds, duration } from "../format.ts";
import { useSize } from "../hooks.ts";
import { t } from "../i18n.ts";
import type { Request } from "../types.ts";

const HEIGHT = 92;
const LEFT = 58;
const RIGHT = 16;
const TOP = 10;
const BOTTOM = 18;

interface Point {
  x: number;
  y: number;
  request: Request;
}

export function Scatter({ requests, selected, onOpen }: { requests: Request[]; selected: string | null; onOpen: (request: Request) => void }) {
  const [frame, { width }] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const points = useRef<Point[]>([]);
  const [near, setNear] = useState<Point | null>(null);

  useEffect(() => {
    const element = canvas.current;
    if (!element || width === 0) return;
    const scale = devicePixelRatio || 1;
    element.width = width * scale;
    element.height = HEIGHT * scale;
    const context = element.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    points.current = draw(context, requests, width, near?.request ?? null, selected);
  }, [requests, width, near, selected, document.documentElement.dataset["theme"]]);

  const find = (event: MouseEvent): Point | null => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return null;
    let best: Point | null = null;
    let distance = 14 ** 2;
    for (const point of points.current) {
      const away = (point.x - event.clientX + box.left) ** 2 + (point.y - event.clientY + box.top) ** 2;
      if (away < distance) [best, distance] = [point, away];
    }
    return best;
  };
  return (
    <div class="scatter" ref={frame}>
      <canvas
        ref={canvas} style={{ width: "100%", height: `${HEIGHT}px`, cursor: near ? "pointer" : "default" }} role="img" aria-label={t("scatter_label")}
        onMouseMove={(event) => { const found = find(event); if (found?.request !== near?.request) setNear(found); }}
        onMouseLeave={() => setNear(null)} onClick={(event) => { const found = find(event); if (found) onOpen(found.request); }}
      />
      {near && (
        <div class="tip" style={near.x > width / 2 ? { right: `${width - near.x + 12}px`, top: "8px" } : { left: `${near.x + 12}px`, top: "8px" }}>
          <b>{near.request.method} {near.request.route ?? near.request.name}</b>
          <span>{near.request.status ?? ""} · {duration(near.request.duration)} · {clockSeconds(near.request.start)}</span>
        </div>
      )}
    </div>
  );
}

function draw(context: CanvasRenderingContext2D, requests: Request[], width: number, near: Request | null, selected: string | null): Point[] {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => resolved(style.getPropertyValue(name).trim());
  context.clearRect(0, 0, width, HEIGHT);
  let [from, to] = [Infinity, -Infinity];
  let [low, high] = [1, 1000];
  for (const one of requests) {
    [from, to] = [Math.min(from, one.start), Math.max(to, one.start)];
    [low, high] = [Math.min(low, one.duration), Math.max(high, one.duration)];
  }
  low = Math.max(low, 0.01);
  const span = Math.max(to - from, 1000);
  from = to - span;
  const [least, most] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const x = (time: number): number => LEFT + ((time - from) / span) * (width - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - ((Math.log10(Math.max(value, low)) - least) / (most - least)) * (HEIGHT - TOP - BOTTOM);
  context.font = `10px ${style.getPropertyValue("--mono")}`;
  context.lineWidth = 1;
  const every = most - least > 4 ? 2 : 1;
  for (let power = least; power <= most; power += every) {
    const at = Math.round(y(10 ** power)) + 0.5;
    context.strokeStyle = color("--line");
    context.beginPath();
    context.moveTo(LEFT, at);
    context.lineTo(width - RIGHT, at);
    context.stroke();
    context.fillStyle = color("--text-3");
    context.textAlign = "right";
    context.fillText(duration(10 ** power).replace(/\.0+ /, " "), LEFT - 6, at + 3);
  }
  context.textAlign = "left";
  context.fillText(clockSeconds(from), LEFT, HEIGHT - 4);
  context.textAlign = "right";
  context.fillText(clockSeconds(to), width - RIGHT, HEIGHT - 4);
  const points = requests.map((request) => ({ x: x(request.start), y: y(request.duration), request }));
  const kinds = { ok: color("--dot"), warn: color("--warn"), error: color("--error") };
  for (const point of [...points].sort((a, b) => Number(a.request.error) - Number(b.request.error))) {
    const { request } = point;
    const kind = request.error ? "error" : (request.status ?? 0) >= 400 ? "warn" : "ok";
    context.fillStyle = context.strokeStyle = kinds[kind];
    context.globalAlpha = kind === "ok" ? 0.55 : 0.95;
    context.beginPath();
    if (kind === "error") { // a cross: not only its colour is different
      context.lineWidth = 1.6;
      context.moveTo(point.x - 3, point.y - 3);
      context.lineTo(point.x + 3, point.y + 3);
      context.moveTo(point.x + 3, point.y - 3);
      context.lineTo(point.x - 3, point.y + 3);
      context.stroke();
    } else {
      context.arc(point.x, point.y, 2.6, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    if (request === near || request.trace_id + request.span_id === selected) {
      context.strokeStyle = color("--accent");
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(point.x, point.y, 6, 0, 7);
      context.stroke();
    }
  }
  return points;
}

/** The value of `light-dark(a, b)`, which a canvas does not know. */
export function resolved(value: string): string {
  const probe = document.getElementById("probe") ?? document.body.appendChild(Object.assign(document.createElement("i"), { id: "probe", hidden: true }));
  probe.style.color = "";
  probe.style.color = value;
  return getComputedStyle(probe).color;
}
