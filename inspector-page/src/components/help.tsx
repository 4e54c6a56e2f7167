/** The keys, and the words of the query language. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { t, type Key } from "../i18n.ts";
import { Icon } from "./icons.tsx";

const KEYS: [string[], Key][] = [
  [["Ctrl K"], "palette"],
  [["/"], "key_filter"],
  [["j", "k"], "key_move"],
  [["Enter"], "key_open"],
  [["Esc"], "key_back"],
  [["[", "]"], "key_tabs"],
  [["l"], "key_logs"],
  [["1", "–", "8"], "key_views"],
  [["p"], "key_pause"],
  [["t"], "theme"],
  [["?"], "keyboard"],
];

const WORDS: [string, Key][] = [
  ["status>=500", "help_status"],
  ["duration>250", "help_duration"],
  ["statements>10", "help_statements"],
  ["method:POST", "help_method"],
  ["route:/api/x", "help_route"],
  ["service:blog", "help_service"],
  ["trace:4bf92f35", "help_trace"],
  ["since:10m", "help_since"],
  ["is:error", "help_is_error"],
  ["is:slow", "help_is_slow"],
  ["is:repeated", "help_is_repeated"],
  ["timeout", "help_text"],
];

export function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    dialog.current?.showModal(); // before the next key arrives
  }, []);
  return (
    <dialog ref={dialog} class="help" tabIndex={-1} autofocus aria-label={t("keyboard")} onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <div class="help-body">
        <button type="button" class="icon-button help-close" aria-label={t("close")} onClick={onClose}><Icon name="close" /></button>
        <section>
          <h2>{t("keyboard")}</h2>
          <dl>{KEYS.map(([keys, text]) => <div key={text}><dt>{keys.map((one) => (one === "–" ? "–" : <kbd key={one}>{one}</kbd>))}</dt><dd>{t(text)}</dd></div>)}</dl>
        </section>
        <section>
          <h2>{t("query_words")}</h2>
          <dl>{WORDS.map(([word, text]) => <div key={word}><dt><code>{word}</code></dt><dd>{t(text)}</dd></div>)}</dl>
          <p class="dim">{t("query_all")}</p>
        </section>
      </div>
    </dialog>
  );
}
