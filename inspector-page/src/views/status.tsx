/** What is instrumented, where telemetry is received, and what the store holds. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { post } from "../api.ts";
import { AttributeTable, Badge, Copy, Problem, Section, ServiceName, ViewHead } from "../components/parts.tsx";
import { ago, bytes, count } from "../format.ts";
import { useNow } from "../hooks.ts";
import { t } from "../i18n.ts";
import { refresh, useData } from "../live.ts";
import type { Attributes, InspectorStatus, ProcessStatus, Value } from "../types.ts";

export function StatusView() {
  const { data, error } = useData<InspectorStatus>("/api/status", 1000);
  const now = useNow();
  if (error && !data) return <Problem text={error} />;
  if (!data) return null;
  const { store, endpoints, command } = data;
  return (
    <div class="view">
      <ViewHead title={t("view_status")} />
    <div class="scroller padded status-view">
      <div class="cards">
        <Card title={t("receives_at")}>
          <p class="copyable"><span class="dim">HTTP</span> <code>{endpoints.http}</code> <Copy text={endpoints.http} label={t("copy")} /></p>
          <p class="copyable"><span class="dim">gRPC</span> {endpoints.grpc ? <><code>{endpoints.grpc}</code> <Copy text={endpoints.grpc} label={t("copy")} /></> : <span class="dim">{t("off")}</span>}</p>
        </Card>
        <Card title={t("command")}>
          {command ? (
            <>
              <p class="mono wrap">{command.argv.join(" ")}</p>
              <p class="dim">{t("process")} <span class="number">{command.pid}</span> · {command.running ? <span class="ok-text">{t("running")}</span> : <span class="error-text">{t("ended", { code: command.exit_code ?? "?" })}</span>}</p>
            </>
          ) : (
            <p class="dim">{t("only_receives")}</p>
          )}
        </Card>
        <Card title={t("store")}>
          <Gauge label={t("memory")} value={store.bytes} limit={store.limit_bytes} text={`${bytes(store.bytes)} / ${bytes(store.limit_bytes)}`} />
          <Gauge label={t("spans")} value={store.spans} limit={store.limit_spans} text={`${count(store.spans)} / ${count(store.limit_spans)}`} />
          <p class="dim">{t("store_text", { logs: count(store.logs), points: count(store.points), evicted: count(store.evicted_spans), dropped: count(store.dropped) })}</p>
          <p class="dim">{t("started")} {ago(store.started, now)}{store.keep ? ` · ${t("kept")}` : ""}</p>
          <ClearButton />
        </Card>
      </div>
      <h2>{t("what_is_instrumented")}</h2>
      {data.instrumentation.length === 0 && <p class="dim">{t("no_processes")}</p>}
      {[...data.instrumentation].sort((a, b) => Number(b.status !== null) - Number(a.status !== null)).map((one) => <Process key={`${one.service} ${one.instance}`} one={one} />)}
    </div>
    </div>
  );
}

/** The first click asks, the second removes. */
function ClearButton() {
  const [asked, ask] = useState(false);
  const clear = (): void => {
    ask(!asked);
    if (asked) void post("/api/clear").then(refresh);
  };
  return <button type="button" class={`button ${asked ? "danger" : ""}`} onClick={clear} onBlur={() => ask(false)}>{t(asked ? "clear_question" : "clear_store")}</button>;
}

function Card({ title, children }: { title: string; children: ComponentChildren }) {
  return <section class="card"><h3>{title}</h3>{children}</section>;
}

function Gauge({ label, value, limit, text }: { label: string; value: number; limit: number; text: string }) {
  const share = limit > 0 ? Math.min(1, value / limit) : 0;
  return (
    <div class="gauge">
      <span>{label}</span><span class="number right">{text}</span>
      <span class="track" role="meter" aria-valuenow={Math.round(share * 100)} aria-label={label}><span class={share > 0.9 ? "high" : ""} style={{ width: `${share * 100}%` }} /></span>
    </div>
  );
}

const isObject = (value: Value | undefined): value is Attributes => typeof value === "object" && value !== null && !Array.isArray(value);

function Process({ one }: { one: ProcessStatus }) {
  const status = one.status;
  const parts = isObject(status?.["instrumentation"]) ? status["instrumentation"] : {};
  const delivery = isObject(status?.["delivery"]) ? status["delivery"] : {};
  const problems = Array.isArray(status?.["problems"]) ? status["problems"] : [];
  const swallowed = isObject(status?.["swallowed"]) ? status["swallowed"] : {};
  return (
    <article class="process">
      <header><ServiceName name={one.service} /> <span class="mono dim ellipsis">{one.instance}</span></header>
      {!status && <p class="dim">{t("no_status")}</p>}
      {problems.map((problem, index) => <Problem key={index} text={String(problem)} />)}
      {Object.keys(parts).length > 0 && (
        <ul class="parts">
          {Object.entries(parts).map(([name, value]) => <Part key={name} name={name} text={String(value)} />)}
        </ul>
      )}
      {Object.keys(delivery).length > 0 && <Delivery delivery={delivery} />}
      {Object.keys(swallowed).length > 0 && <Section title={t("swallowed")}><AttributeTable attributes={swallowed} /></Section>}
    </article>
  );
}

/** `on (FastAPI 0.115)`: the state, and in brackets what else is known. */
export function stateOf(text: string): { state: string; detail: string } {
  const match = /^(\S+)(?:\s+\((.*)\))?$/s.exec(text.trim());
  return match ? { state: match[1] ?? "", detail: match[2] ?? "" } : { state: "", detail: text };
}

function Part({ name, text }: { name: string; text: string }) {
  const { state, detail } = stateOf(text);
  return (
    <li class={`part ${state}`}>
      <Badge kind={state === "on" ? "info" : state === "off" || state === "absent" ? "quiet" : "error"}>{state}</Badge>
      <b>{name}</b>
      <span class="dim">{detail}</span>
    </li>
  );
}

function Delivery({ delivery }: { delivery: Attributes }) {
  const signals = ["traces", "metrics", "logs"].filter((one) => isObject(delivery[one]));
  const cell = (signal: string, key: string): string => {
    const figures = delivery[signal] as Attributes;
    const value = figures[key];
    return isObject(value) ? count(Object.values(value).reduce<number>((sum, one) => sum + Number(one), 0)) : count(Number(value ?? 0));
  };
  const columns = ["accepted", "sent", "dropped", "queue_items", "spooled", "retries"] as const;
  return (
    <table class="small-table delivery">
      <thead><tr><th>{t("delivery")}</th>{columns.map((one) => <th key={one} class="right">{t(`delivery_${one}`)}</th>)}</tr></thead>
      <tbody>
        {signals.map((signal) => (
          <tr key={signal}><td>{signal}</td>{columns.map((one) => <td key={one} class={`right number ${one === "dropped" && cell(signal, one) !== "0" ? "error-text" : ""}`}>{cell(signal, one)}</td>)}</tr>
        ))}
      </tbody>
    </table>
  );
}
