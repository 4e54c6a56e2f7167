/** The command palette: commands, routes, and a trace by its id. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n.ts";
import { useData } from "../live.ts";
import { address, go } from "../route.ts";
import type { Endpoint } from "../types.ts";
import { queryOf } from "../views/endpoints.tsx";
import { Icon } from "./icons.tsx";

export interface Command {
  icon: string;
  text: string;
  hint?: string;
  run: () => void;
}

const MAX = 40;

export function Palette({ commands, onClose }: { commands: Command[]; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const endpoints = useData<{ endpoints: Endpoint[] }>("/api/endpoints", 5000).data?.endpoints ?? [];
  useLayoutEffect(() => {
    dialog.current?.showModal(); // before the next key arrives
  }, []);
  const typed = text.trim();
  const found = [
    ...(/^[0-9a-f]{32}$/i.test(typed) ? [{ icon: "link", text: t("palette_trace", { id: typed.slice(0, 8) }), run: () => go(address("trace", [typed.toLowerCase()])) }] : []),
    ...commands.filter((one) => matches(one.text, typed)),
    ...endpoints.filter((one) => one.route && matches(`${one.method} ${one.route}`, typed)).map((one) => ({ icon: "endpoints", text: `${one.method ?? ""} ${one.route}`.trim(), run: () => go(address("requests", [], { q: queryOf(one) })) })),
    ...(typed ? [{ icon: "search", text: t("palette_search", { text: typed }), run: () => go(address("requests", [], { q: typed })) }, { icon: "logs", text: t("palette_search_logs", { text: typed }), run: () => go(address("logs", [], { q: typed })) }] : []),
  ].slice(0, MAX) as Command[];
  const at = Math.min(chosen, found.length - 1);
  const run = (one: Command | undefined): void => {
    onClose();
    one?.run();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setChosen((at + 1) % found.length);
    else if (event.key === "ArrowUp") setChosen((at - 1 + found.length) % found.length);
    else if (event.key === "Enter") run(found[at]);
    else return;
    event.preventDefault();
  };
  useEffect(() => dialog.current?.querySelector(".chosen")?.scrollIntoView({ block: "nearest" }), [at]);
  return (
    <dialog ref={dialog} class="palette" aria-label={t("palette")} onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <div class="palette-field">
        <Icon name="search" />
        <input type="text" value={text} autofocus placeholder={t("palette_placeholder")} aria-label={t("palette")} spellcheck={false} autocomplete="off" onInput={(event) => { setText(event.currentTarget.value); setChosen(0); }} onKeyDown={key} />
        <kbd>Esc</kbd>
      </div>
      <ul role="listbox">
        {found.map((one, index) => (
          <li key={`${one.icon} ${one.text}`} role="option" aria-selected={index === at} class={index === at ? "chosen" : ""} onMouseMove={() => setChosen(index)} onClick={() => run(one)}>
            <Icon name={one.icon} />
            <span class="ellipsis">{one.text}</span>
            {one.hint && <kbd>{one.hint}</kbd>}
          </li>
        ))}
      </ul>
    </dialog>
  );
}

/** Whether every typed word occurs. */
function matches(text: string, typed: string): boolean {
  const lower = text.toLowerCase();
  return typed.toLowerCase().split(/\s+/).every((part) => lower.includes(part));
}
