/** The words of a query: `status>=500 route:/api/x timeout`. The server evaluates them; the page adds and removes some. */

/** The words of a query; a quoted part may contain spaces. */
export function words(query: string): string[] {
  return query.match(/(?:[^\s"]+|"[^"]*"?)+/g) ?? [];
}

/** A word for a key and a value, quoted when the value contains a space. */
export function word(key: string, value: string): string {
  return /\s/.test(value) ? `${key}"${value.replaceAll('"', "")}"` : `${key}${value}`;
}

export function has(query: string, wanted: string): boolean {
  return words(query).includes(wanted);
}

/** The query with the word, or without it when it is there. */
export function toggled(query: string, wanted: string): string {
  const all = words(query);
  return (all.includes(wanted) ? all.filter((one) => one !== wanted) : [...all, wanted]).join(" ");
}

/** The query in which the word replaces every other one of its key; null removes them. */
export function replaced(query: string, key: RegExp, wanted: string | null): string {
  const rest = words(query).filter((one) => !key.test(one));
  return (wanted === null ? rest : [...rest, wanted]).join(" ");
}

/** The value of the first word with this prefix, such as `service:`; empty without one. */
export function valueOf(query: string, prefix: string): string {
  const found = words(query).find((one) => one.startsWith(prefix));
  return found ? found.slice(prefix.length).replaceAll('"', "") : "";
}

export interface Suggestion {
  word: string;
  help: string;
}

/** The suggestions that complete the word before the cursor. */
export function completions(query: string, suggestions: Suggestion[]): Suggestion[] {
  const last = /\s$/.test(query) || query === "" ? "" : (words(query).at(-1) ?? "");
  return suggestions.filter(({ word: one }) => one.startsWith(last) && one !== last);
}

/** The query in which the suggestion takes the place of its last, unfinished word. */
export function completed(query: string, suggestion: string): string {
  const all = words(query);
  const rest = /\s$/.test(query) ? all : all.slice(0, -1);
  const ends = /[:>=<]$/.test(suggestion) ? "" : " ";
  return [...rest, suggestion].join(" ") + ends;
}
