/** The language of the page: English or Korean, from one table. */

import { texts, type Key } from "./texts.ts";

export const LANGUAGES = ["en", "ko"] as const;
export type Language = (typeof LANGUAGES)[number];

let current: Language = "en";

export function language(): Language {
  return current;
}

export function setLanguage(wanted: Language): void {
  current = wanted;
}

/** The language that the reader chose, else that of the browser. */
export function preferred(chosen: string | null, browser: string): Language {
  if (chosen === "en" || chosen === "ko") return chosen;
  return browser.toLowerCase().startsWith("ko") ? "ko" : "en";
}

/** The text of a key in the current language, with `{name}` replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text: string = texts[key][current === "ko" ? 1 : 0];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export type { Key };
