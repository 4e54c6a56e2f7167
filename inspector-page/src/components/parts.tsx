/** Small parts that the views share. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { colorOf } from "../colors.ts";
import { duration as formatted, valueText } from "../format.ts";
import { t } from "../i18n.ts";
import { tokens } from "../sql.ts";
import { parts } from "../stack.ts";
import type { Attributes, Failure } from "../types.ts";
import { Icon } from "./icons.tsx";

/** An HTTP status with a colour and, for failures, a sign: colour is never the only difference. */
export function Status({ status, error, type }: { status: number | null; error: boolean; type?: string | null }) {
  const level = error || (status ?? 0) >= 500 ? "error" : (status ?? 0) >= 400 ? "warn" : (status ?? 0) >= 300 ? "info" : "ok";
  const sign = level === "error" ? "✕" : level === "warn" ? "!" : "";
  const text = status === null ? (error ? t("error_short") : t("ok_short")) : String(status);
  return (
    <span class={`status ${level}`} title={type ?? undefined}>
      {sign && <span class="sign" aria-hidden="true">{sign}</span>}
      {text}
    </span>
  );
}

export const SLOW = 1000; // milliseconds; what `is:slow` means

export function Duration({ value, slow = SLOW }: { value: number; slow?: number }) {
  const text = formatted(value);
  const cut = text.lastIndexOf(" ");
  return (
    <span class={`duration ${value >= slow ? "slow" : ""}`}>
      {text.slice(0, cut)}
      <span class="unit">{text.slice(cut)}</span>
    </span>
  );
}

/** A bar on a logarithmic scale from 1 ms to 10 s. */
export function DurationBar({ value }: { value: number }) {
  const share = Math.max(0.02, Math.min(1, Math.log10(Math.max(1, value)) / 4));
  return (
    <span class={`meter ${value >= SLOW ? "slow" : ""}`} aria-hidden="true">
      <span style={{ width: `${share * 100}%` }} />
    </span>
  );
}

export function Badge({ kind, children, title }: { kind: "error" | "warn" | "info" | "quiet"; children: ComponentChildren; title?: string }) {
  return (
    <span class={`badge ${kind}`} title={title}>
      {children}
    </span>
  );
}

export function ServiceName({ name }: { name: string }) {
  return (
    <span class="service" title={name}>
      <span class="swatch" style={{ background: colorOf(name) }} />
      <span class="ellipsis">{name}</span>
    </span>
  );
}

export function Method({ method, kind }: { method: string | null; kind?: string }) {
  const text = method ?? (kind === "websocket" ? "WS" : kind === "task" ? t("kind_task") : kind === "operation" ? t("kind_operation") : "–");
  return <span class={`method ${method ? `m-${method}` : "m-other"}`}>{text}</span>;
}

export function Severity({ text, number }: { text: string; number: number }) {
  return <span class={`severity ${severityLevel(number)}`}>{text || severityName(number)}</span>;
}

export function severityLevel(number: number): string {
  return number >= 17 ? "error" : number >= 13 ? "warn" : number >= 9 ? "info" : "quiet";
}

function severityName(number: number): string {
  return number >= 21 ? "FATAL" : number >= 17 ? "ERROR" : number >= 13 ? "WARN" : number >= 9 ? "INFO" : number >= 5 ? "DEBUG" : "TRACE";
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <div class="empty-text">{children}</div>}
    </div>
  );
}

export function Problem({ text }: { text: string }) {
  return (
    <p class="problem" role="alert">
      <Icon name="errors" size={14} /> {text}
    </p>
  );
}

export function Copy({ text, label, icon = "copy" }: { text: string; label: string; icon?: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1400);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button type="button" class="icon-button small" title={done ? t("copied") : label} aria-label={label} onClick={() => void navigator.clipboard.writeText(text).then(() => setDone(true))}>
      <Icon name={done ? "check" : icon} size={14} />
    </button>
  );
}

/** SQL with the colours of its tokens. */
export function SqlText({ text }: { text: string }) {
  return <>{tokens(text).map((token, index) => (token.kind === "plain" ? token.text : <span key={index} class={`sql-${token.kind}`}>{token.text}</span>))}</>;
}

export function SqlBlock({ text }: { text: string }) {
  return (
    <div class="code-block">
      <pre class="code"><SqlText text={text} /></pre>
      <Copy text={text} label={t("copy_sql")} />
    </div>
  );
}

export function AttributeTable({ attributes }: { attributes: Attributes }) {
  const keys = Object.keys(attributes).sort();
  if (keys.length === 0) return <p class="quiet-text">{t("no_attributes")}</p>;
  return (
    <dl class="attributes">
      {keys.map((key) => (
        <div key={key}>
          <dt>{broken(key)}</dt>
          <dd class={typeof attributes[key] === "number" ? "number" : ""}>{valueText(attributes[key])}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A dotted name that may break after its dots and underscores. */
function broken(name: string) {
  return name.split(/(?<=[._])/).map((part, index) => (index ? [<wbr />, part] : part));
}

/** Attributes in one line: `endpoint=/api/x method=GET`. */
export function attributeLine(attributes: Attributes): string {
  return Object.entries(attributes)
    .map(([key, value]) => `${key}=${valueText(value)}`)
    .join("  ");
}

export function Stack({ failure }: { failure: Failure }) {
  return (
    <div class="failure">
      <p class="failure-title">
        <b>{failure.type}</b>
        {failure.message && <span>: {failure.message}</span>}
      </p>
      {failure.stacktrace && (
        <div class="code-block">
          <pre class="code stack"><StackLines text={failure.stacktrace} /></pre>
          <Copy text={failure.stacktrace} label={t("copy_stack")} />
        </div>
      )}
    </div>
  );
}

function StackLines({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  return (
    <>
      {parts(text).map((part, index) =>
        part.library && !all ? (
          <button key={index} type="button" class="folded-frames" onClick={() => setAll(true)}>{t("library_frames", { n: part.frames })}</button>
        ) : (
          part.lines.map((line, number) => <span key={`${index} ${number}`} class={part.library ? "library" : /^\S/.test(line) ? "said" : ""}>{`${line}\n`}</span>)
        ),
      )}
    </>
  );
}

export function Section({ title, count, children, actions }: { title: string; count?: number | undefined; children: ComponentChildren; actions?: ComponentChildren }) {
  return (
    <section class="section">
      <h3>
        {title}
        {count !== undefined && <span class="section-count">{count}</span>}
        {actions && <span class="section-actions">{actions}</span>}
      </h3>
      {children}
    </section>
  );
}

/** The head of a view: its title, how many rows it has, and a field that filters them by text. */
export function ViewHead({ title, count, text, onText }: { title: string; count?: number | undefined; text?: string; onText?: (text: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (): void => input.current?.select();
    addEventListener("focus-filter", focus);
    return () => removeEventListener("focus-filter", focus);
  }, []);
  return (
    <header class="view-head">
      <h1>{title}</h1>
      {count !== undefined && <span class="section-count">{count}</span>}
      {onText && (
        <div class="field filter-text">
          <Icon name="search" size={14} />
          <input
            ref={input} type="text" value={text} placeholder={t("filter_text")} aria-label={t("filter")} spellcheck={false} autocomplete="off" onInput={(event) => onText(event.currentTarget.value)}
            onKeyDown={(event) => { if (event.key === "Escape") { event.preventDefault(); onText(""); event.currentTarget.blur(); } else if (event.key === "Enter") event.currentTarget.blur(); }}
          />
          <kbd>/</kbd>
        </div>
      )}
    </header>
  );
}

/** The rows whose text has every word. */
export function withText<T>(rows: T[], text: string, of: (row: T) => string): T[] {
  const terms = text.toLowerCase().split(/\s+/).filter(Boolean);
  return terms.length ? rows.filter((row) => { const all = of(row).toLowerCase(); return terms.every((term) => all.includes(term)); }) : rows;
}
