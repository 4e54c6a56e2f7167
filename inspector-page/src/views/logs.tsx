/** The live list of log records. */

import { useRef } from "preact/hooks";
import { get, path as url } from "../api.ts";
import { Chip, ChipSelect, FilterBar } from "../components/filter.tsx";
import { AttributeTable, Empty, Section, ServiceName, Severity, severityLevel, Stack } from "../components/parts.tsx";
import { Split } from "../components/split.tsx";
import { VirtualList } from "../components/virtual.tsx";
import { clock, count, instant } from "../format.ts";
import { NARROW, useKeys, useMedia } from "../hooks.ts";
import { t } from "../i18n.ts";
import { useData, usePages } from "../live.ts";
import { replaced, valueOf, word, type Suggestion } from "../query.ts";
import { address, go, goInPlace, type Route } from "../route.ts";
import { useSelection } from "../selection.ts";
import type { Log, Paged, ServiceMap } from "../types.ts";

export function keyOf(log: Log): string {
  return log.id ?? `${log.time} ${log.span_id} ${log.logger} ${log.body}`;
}

function load(query: string, before: string | null): Promise<Paged<Log>> {
  return get<{ logs: Log[]; next: string | null; total: number }>(url("/api/logs", { q: query, limit: 200, before })).then(({ logs, next, total }) => ({ items: logs, next, total }));
}

export function LogsView({ route }: { route: Route }) {
  const query = route.query.get("q") ?? "";
  const atTop = useRef(true);
  const narrow = useMedia(NARROW);
  const pages = usePages((before) => load(query, before), query, keyOf, (one) => one.time, () => !atTop.current);
  const { item: one, index, select, move } = useSelection(pages, keyOf);
  const services = useData<ServiceMap>("/api/services", 3000).data?.services.map((one) => one.name) ?? [];
  const setQuery = (to: string): void => goInPlace(address("logs", [], { q: to }));
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => one?.trace_id && go(address("trace", [one.trace_id, one.span_id ?? ""])),
    Escape: () => (one ? select(null) : setQuery("")),
  });
  return (
    <div class="view">
      <FilterBar query={query} onChange={setQuery} suggestions={suggestions(services)} placeholder={t("filter_logs")} error={pages.error}>
        <Chip query={query} word="level>=ERROR" onChange={setQuery} kind="error">{t("chip_errors")}</Chip>
        <Chip query={query} word="level>=WARN" onChange={setQuery}>{t("chip_warnings")}</Chip>
        <Chip query={query} word="level>=INFO" onChange={setQuery}>INFO +</Chip>
        {services.length > 1 && <><span class="chip-gap" /><ChipSelect label={t("service")} value={valueOf(query, "service:")} options={services.map((name) => ({ value: name, text: name }))} onChange={(value) => setQuery(replaced(query, /^service:/, value ? word("service:", value) : null))} /></>}
        <span class="result-count">{t(query ? "n_found" : "n_logs", { n: count(pages.total) })}</span>
      </FilterBar>
      {pages.fresh > 0 && (
        <button type="button" class="fresh" onClick={() => { atTop.current = true; pages.release(); document.querySelector(".scroller")?.scrollTo({ top: 0 }); }}>
          {t("n_new", { n: pages.fresh })} ↑
        </button>
      )}
      {!pages.loading && pages.items.length === 0 && !pages.error ? (
        <Empty title={t(query ? "nothing_found" : "no_logs")} />
      ) : (
        <Split title={one ? <><Severity text={one.severity} number={one.severity_number} /> <span class="mono ellipsis">{one.logger}</span></> : null} onClose={() => select(null)} detail={one ? <LogDetail log={one} /> : null}>
          <VirtualList
            class="log-list" label={t("logs")} items={pages.items} rowHeight={narrow ? 46 : 28} id={keyOf} selected={index} onEnd={pages.more} onTop={(top) => { atTop.current = top; }}
            row={(log, _, chosen) => (
              <button type="button" class={`log-row ${severityLevel(log.severity_number)} ${chosen ? "selected" : ""}`} onClick={() => select(chosen ? null : log)}>
                <span class="number dim">{clock(log.time)}</span>
                <Severity text={log.severity} number={log.severity_number} />
                <span class="ellipsis logger" title={log.logger}>{log.logger}</span>
                <span class="ellipsis body">{log.body}{log.exception && <span class="error-text"> {log.exception.type}</span>}</span>
                <span class="col-service"><ServiceName name={log.service} /></span>
              </button>
            )}
          />
        </Split>
      )}
    </div>
  );
}

function suggestions(services: string[]): Suggestion[] {
  return [
    { word: "level>=ERROR", help: t("help_level") },
    { word: "level>=WARN", help: t("help_level") },
    { word: "logger:", help: t("help_logger") },
    { word: "trace:", help: t("help_trace") },
    { word: "service:", help: t("help_service") },
    ...services.map((one) => ({ word: word("service:", one), help: "" })),
  ];
}

export function LogDetail({ log }: { log: Log }) {
  return (
    <>
      <pre class="code block wrap">{log.body}</pre>
      <p class="quiet-text number">{instant(log.time)}</p>
      {log.trace_id && (
        <div class="actions">
          <a class="button primary" href={address("trace", [log.trace_id, ...(log.span_id ? [log.span_id] : [])])}>{t("show_trace")}</a>
          <a class="button" href={address("logs", [], { q: `trace:${log.trace_id}` })}>{t("logs_of_trace")}</a>
        </div>
      )}
      {log.exception && <Stack failure={log.exception} />}
      <Section title={t("attributes")}><AttributeTable attributes={log.attributes} /></Section>
    </>
  );
}
