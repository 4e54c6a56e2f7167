/** The filter: one field for the query language, with suggestions, and buttons for its commonest words. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { t } from "../i18n.ts";
import { completed, completions, has, toggled, type Suggestion } from "../query.ts";
import { Icon } from "./icons.tsx";

interface Props {
  query: string;
  onChange: (query: string) => void;
  suggestions: Suggestion[];
  placeholder: string;
  error: string | null;
  children?: ComponentChildren;
}

export function FilterBar({ query, onChange, suggestions, placeholder, error, children }: Props) {
  const [text, setText] = useState(query);
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const sent = useRef(query);
  const timer = useRef<number | undefined>(undefined);

  useEffect(() => {
    if (query !== sent.current) {
      sent.current = query;
      setText(query);
    }
  }, [query]);
  useEffect(() => {
    const focus = (): void => {
      input.current?.focus();
      input.current?.select();
    };
    addEventListener("focus-filter", focus);
    return () => removeEventListener("focus-filter", focus);
  }, []);

  const send = (value: string, wait: number): void => {
    setText(value);
    setChosen(-1);
    clearTimeout(timer.current);
    const apply = (): void => {
      sent.current = value.trim();
      onChange(value.trim());
    };
    if (wait) timer.current = window.setTimeout(apply, wait);
    else apply(); // a browser handles the next key before a timer
  };
  const offered = open ? completions(text, suggestions).slice(0, 12) : [];
  const take = (one: Suggestion): void => {
    send(completed(text, one.word), 0);
    input.current?.focus();
  };
  const leave = (): void => {
    send(text, 0);
    input.current?.blur();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "Escape") {
      event.preventDefault();
      if (offered.length && chosen >= 0) setChosen(-1);
      else leave();
    } else if (event.key === "ArrowDown" && offered.length) {
      event.preventDefault();
      setChosen((chosen + 1) % offered.length);
    } else if (event.key === "ArrowUp" && offered.length) {
      event.preventDefault();
      setChosen((chosen - 1 + offered.length) % offered.length);
    } else if (event.key === "Enter" || (event.key === "Tab" && chosen >= 0)) {
      const one = offered[chosen];
      if (one) {
        event.preventDefault();
        take(one);
      } else {
        leave();
      }
    }
  };
  return (
    <div class="filter">
      <div class={`field ${error ? "wrong" : ""}`}>
        <Icon name="search" size={14} />
        <input
          ref={input} type="text" value={text} placeholder={placeholder} aria-label={t("filter")} spellcheck={false} autocomplete="off" autocapitalize="off"
          role="combobox" aria-expanded={offered.length > 0} aria-controls="suggestions"
          onInput={(event) => send(event.currentTarget.value, 180)} onKeyDown={key} onFocus={() => setOpen(true)} onBlur={() => setOpen(false)}
        />
        {text ? (
          <button type="button" class="icon-button small" aria-label={t("clear_filter")} title={t("clear_filter")} onClick={() => send("", 0)}>
            <Icon name="close" size={13} />
          </button>
        ) : (
          <kbd>/</kbd>
        )}
        {offered.length > 0 && (
          <ul class="suggestions" id="suggestions" role="listbox">
            {offered.map((one, index) => (
              <li key={one.word} role="option" aria-selected={index === chosen} class={index === chosen ? "chosen" : ""} onMouseDown={(event) => { event.preventDefault(); take(one); }}>
                <code>{one.word}</code>
                <span>{one.help}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
      {children && <div class="chips">{children}</div>}
      {error && <p class="filter-error" role="alert">{error}</p>}
    </div>
  );
}

/** A button that adds a word to the query, or takes it out. */
export function Chip({ query, word, onChange, children, kind = "" }: { query: string; word: string; onChange: (query: string) => void; children: ComponentChildren; kind?: string }) {
  const active = has(query, word);
  return (
    <button type="button" class={`chip ${kind} ${active ? "active" : ""}`} aria-pressed={active} onClick={() => onChange(toggled(query, word))}>
      {children}
    </button>
  );
}

/** A choice whose value is one word of the query. */
export function ChipSelect({ label, value, options, onChange }: { label: string; value: string; options: { value: string; text: string }[]; onChange: (value: string) => void }) {
  const known = options.some((one) => one.value === value);
  return (
    <span class={`chip select ${value ? "active" : ""}`}>
      <select aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{label}</option>
        {value && !known && <option value={value}>{value}</option>}
        {options.map((one) => (
          <option key={one.value} value={one.value}>{one.text}</option>
        ))}
      </select>
    </span>
  );
}
