/** The live list of requests. */

import { useRef } from "preact/hooks";
import { get, path as url } from "../api.ts";
import { Scatter } from "../components/scatter.tsx";
import { Chip, ChipSelect, FilterBar } from "../components/filter.tsx";
import { Badge, Duration, DurationBar, Empty, Method, ServiceName, Status } from "../components/parts.tsx";
import { VirtualList } from "../components/virtual.tsx";
import { clock, clockSeconds, count } from "../format.ts";
import { NARROW, useKeys, useMedia } from "../hooks.ts";
import { t } from "../i18n.ts";
import { useData, usePages } from "../live.ts";
import { has, replaced, valueOf, word, words, type Suggestion } from "../query.ts";
import { address, go, goInPlace, type Route } from "../route.ts";
import { useSelection } from "../selection.ts";
import type { Endpoint, Paged, Request, ServiceMap } from "../types.ts";

const PAGE = 200;

export function loadRequests(query: string, before: string | null, limit = PAGE): Promise<Paged<Request>> {
  return get<{ requests: Request[]; next: string | null; total: number }>(url("/api/requests", { q: query, limit, before })).then(({ requests, next, total }) => ({ items: requests, next, total }));
}

function keyOf(request: Request): string {
  return request.trace_id + request.span_id;
}

/** What a request is called: its route, else its path, else the name of its span. */
export function title(request: Request): string {
  return request.route ?? request.path ?? request.name;
}

export function RequestsView({ route }: { route: Route }) {
  const query = route.query.get("q") ?? "";
  const atTop = useRef(true);
  const narrow = useMedia(NARROW);
  const wide = useMedia("(min-width: 1100px)");
  const pages = usePages((before) => loadRequests(query, before), query, keyOf, (one) => one.start, () => !atTop.current);
  const selection = useSelection(pages, keyOf);
  const services = useData<ServiceMap>("/api/services", 3000).data?.services ?? [];
  const endpoints = useData<{ endpoints: Endpoint[] }>("/api/endpoints", 3000).data?.endpoints ?? [];
  const setQuery = (to: string): void => goInPlace(address("requests", [], { q: to }));
  const open = (one: Request): void => go(address("trace", [one.trace_id, one.span_id]));
  useKeys({
    j: () => selection.move(1),
    k: () => selection.move(-1),
    ArrowDown: () => selection.move(1),
    ArrowUp: () => selection.move(-1),
    Enter: () => selection.item && open(selection.item),
    Escape: () => (selection.item ? selection.select(null) : setQuery("")),
  });
  const routes = [...new Set(endpoints.map((one) => one.route).filter((one) => one !== null))].sort();
  return (
    <div class="view requests">
      <FilterBar query={query} onChange={setQuery} suggestions={suggestions(routes, services.map((one) => one.name))} placeholder={t("filter_requests")} error={pages.error}>
        <Chip query={query} word="is:error" onChange={setQuery} kind="error">{t("chip_errors")}</Chip>
        <Chip query={query} word="is:slow" onChange={setQuery}>{t("chip_slow")}</Chip>
        <Chip query={query} word="is:repeated" onChange={setQuery}>N+1</Chip>
        <span class="chip-gap" />
        <StatusChips query={query} onChange={setQuery} />
        <span class="chip-gap" />
        <ChipSelect label={t("route")} value={valueOf(query, "route:")} options={routes.map((one) => ({ value: one, text: one }))} onChange={(value) => setQuery(replaced(query, /^route:/, value ? word("route:", value) : null))} />
        {services.length > 1 && <ChipSelect label={t("service")} value={valueOf(query, "service:")} options={services.map((one) => ({ value: one.name, text: one.name }))} onChange={(value) => setQuery(replaced(query, /^service:/, value ? word("service:", value) : null))} />}
        <ChipSelect label={t("duration")} value={valueOf(query, "duration>")} options={[50, 250, 1000, 5000].map((one) => ({ value: String(one), text: `> ${one} ms` }))} onChange={(value) => setQuery(replaced(query, /^duration[><=]/, value ? `duration>${value}` : null))} />
        <ChipSelect label={t("any_time")} value={valueOf(query, "since:")} options={["1m", "5m", "30m", "1h"].map((one) => ({ value: one, text: t("last_time", { time: one }) }))} onChange={(value) => setQuery(replaced(query, /^since:/, value ? `since:${value}` : null))} />
        <span class="result-count">{t(query ? "n_found" : "n_requests", { n: count(pages.total) })}</span>
      </FilterBar>
      {wide && pages.items.length > 0 && <Scatter requests={pages.items} selected={selection.item && keyOf(selection.item)} onOpen={open} />}
      {pages.fresh > 0 && (
        <button type="button" class="fresh" onClick={() => { atTop.current = true; pages.release(); document.querySelector(".scroller")?.scrollTo({ top: 0 }); }}>
          {t("n_new", { n: pages.fresh })} ↑
        </button>
      )}
      {!pages.loading && pages.items.length === 0 && !pages.error ? (
        query ? <Empty title={t("nothing_found")}><button type="button" class="button" onClick={() => setQuery("")}>{t("clear_filter")}</button></Empty> : <Waiting />
      ) : (
        <VirtualList
          class="request-list" label={t("requests")} items={pages.items} rowHeight={narrow ? 58 : 34} id={keyOf} selected={selection.index}
          onEnd={pages.more} onTop={(top) => { atTop.current = top; }}
          header={narrow ? null : <Header />}
          row={(one, _, chosen) => (narrow ? <NarrowRow request={one} selected={chosen} /> : <WideRow request={one} selected={chosen} />)}
        />
      )}
    </div>
  );
}

function StatusChips({ query, onChange }: { query: string; onChange: (query: string) => void }) {
  const ranges: [string, string[]][] = [["2xx", ["status>=200", "status<300"]], ["4xx", ["status>=400", "status<500"]], ["5xx", ["status>=500"]]];
  return (
    <>
      {ranges.map(([text, wanted]) => {
        const present = words(query).filter((one) => /^status[:<>=]/.test(one));
        const active = present.length === wanted.length && wanted.every((one) => has(query, one));
        const rest = replaced(query, /^status[:<>=]/, null);
        return (
          <button key={text} type="button" class={`chip mono ${active ? "active" : ""}`} aria-pressed={active} onClick={() => onChange(active ? rest : [rest, ...wanted].filter(Boolean).join(" "))}>
            {text}
          </button>
        );
      })}
    </>
  );
}

function suggestions(routes: string[], services: string[]): Suggestion[] {
  return [
    { word: "is:error", help: t("help_is_error") },
    { word: "is:slow", help: t("help_is_slow") },
    { word: "is:repeated", help: t("help_is_repeated") },
    { word: "status>=500", help: t("help_status") },
    { word: "status:404", help: t("help_status_exact") },
    { word: "duration>250", help: t("help_duration") },
    { word: "statements>10", help: t("help_statements") },
    { word: "method:POST", help: t("help_method") },
    { word: "since:10m", help: t("help_since") },
    { word: "route:", help: t("help_route") },
    { word: "service:", help: t("help_service") },
    { word: "trace:", help: t("help_trace") },
    ...routes.map((one) => ({ word: word("route:", one), help: "" })),
    ...services.map((one) => ({ word: word("service:", one), help: "" })),
  ];
}

function Header() {
  return (
    <div class="request-row head">
      <span>{t("time")}</span>
      <span>{t("method")}</span>
      <span>{t("request")}</span>
      <span class="right">{t("status_code")}</span>
      <span class="right">{t("duration")}</span>
      <span class="right" title={t("statements")}>SQL</span>
      <span class="right">{t("logs")}</span>
      <span class="col-service">{t("service")}</span>
    </div>
  );
}

export function Badges({ request }: { request: Request }) {
  return (
    <>
      {request.repeated > 0 && <Badge kind="warn" title={t("repeated_badge", { n: request.repeated })}>N+1 ×{request.repeated}</Badge>}
      {request.error_type && <Badge kind="error">{request.error_type.split(".").at(-1)}</Badge>}
    </>
  );
}

function WideRow({ request, selected }: { request: Request; selected: boolean }) {
  return (
    <a class={`request-row ${selected ? "selected" : ""} ${request.error ? "failed" : ""}`} href={address("trace", [request.trace_id, request.span_id])}>
      <span class="number dim">{clock(request.start)}</span>
      <Method method={request.method} kind={request.kind} />
      <span class="what">
        <span class="ellipsis main" title={request.path ?? title(request)}>{title(request)}</span>
        <Badges request={request} />
      </span>
      <span class="right"><Status status={request.status} error={request.error} type={request.error_type} /></span>
      <span class="right with-meter"><DurationBar value={request.duration} /><Duration value={request.duration} /></span>
      <span class={`number right ${request.statements ? "" : "zero"}`}>{request.statements || "·"}</span>
      <span class={`number right ${request.logs ? "" : "zero"}`}>{request.logs || "·"}</span>
      <span class="col-service"><ServiceName name={request.service} /></span>
    </a>
  );
}

/** A narrow screen shows the waterfall first: the details of a span would cover it. */
function NarrowRow({ request, selected }: { request: Request; selected: boolean }) {
  return (
    <a class={`request-card ${selected ? "selected" : ""} ${request.error ? "failed" : ""}`} href={address("trace", [request.trace_id])}>
      <span class="line">
        <Method method={request.method} kind={request.kind} />
        <span class="ellipsis main">{title(request)}</span>
        <Status status={request.status} error={request.error} type={request.error_type} />
      </span>
      <span class="line second">
        <span class="number">{clockSeconds(request.start)}</span>
        <Duration value={request.duration} />
        {request.statements > 0 && <span class="number">SQL {request.statements}</span>}
        <span class="push" />
        <Badges request={request} />
      </span>
    </a>
  );
}

function Waiting() {
  const status = useData<{ endpoints: { http: string; grpc: string | null } }>("/api/status", 5000).data;
  const http = status?.endpoints.http ?? "http://127.0.0.1:4318";
  return (
    <Empty title={t("waiting_title")}>
      <p>{t("waiting_text")}</p>
      <pre class="code block">{`OTEL_EXPORTER_OTLP_ENDPOINT=${http}\nOTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`}</pre>
      {status?.endpoints.grpc && <p class="quiet-text">gRPC: <code>{status.endpoints.grpc}</code></p>}
    </Empty>
  );
}
