/** The address of a view, after `#`: `#/trace/<trace id>/<span id>?tab=logs`. */

import { useEffect, useState } from "preact/hooks";

export const VIEWS = [
  "requests",
  "endpoints",
  "errors",
  "logs",
  "database",
  "metrics",
  "services",
  "status",
] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  view: View | "trace";
  parts: string[];
  query: URLSearchParams;
}

/** The route of an address; the list of requests where there is no such view. */
export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", ...parts] = path.split("/").map(decoded);
  const query = new URLSearchParams(search);
  if (view === "trace" && parts[0]) return { view, parts, query };
  const known = VIEWS.find((one) => one === view);
  return { view: known ?? "requests", parts: known ? parts : [], query };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone percent sign
  }
}

/** The address of a view with the parameters that are not empty. */
export function address(view: string, parts: string[] = [], query: Record<string, string | null | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  const text = search.toString().replaceAll("%3A", ":").replaceAll("%2F", "/").replaceAll("%3E", ">");
  return `#/${[view, ...parts].map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(to: string): void {
  location.hash = to;
}

/** Change the address without a new entry in the history. */
export function goInPlace(to: string): void {
  history.replaceState(null, "", to);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return parse(hash);
}
