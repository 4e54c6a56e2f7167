/** The server's answers. Every path begins with `/api/`; the cookie of the first visit authenticates. */

import type { Counts } from "./types.ts";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return answer<T>(await fetch(path, { headers: { Accept: "application/json" }, ...(signal ? { signal } : {}) }));
}

export async function post<T>(path: string, body: unknown = {}): Promise<T> {
  return answer<T>(
    await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  );
}

async function answer<T>(response: Response): Promise<T> {
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    data = null;
  }
  if (!response.ok) {
    const said = typeof data === "object" && data !== null && "error" in data ? String(data.error) : text.slice(0, 200);
    throw new ApiError(said || response.statusText, response.status);
  }
  return data as T;
}

/** A path with the parameters that have a value. */
export function path(base: string, parameters: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) if (value !== null && value !== undefined && value !== "") search.set(key, String(value));
  const text = search.toString();
  return text ? `${base}?${text}` : base;
}

export interface Listener {
  changed: (counts: Counts) => void;
  connected: (connected: boolean) => void;
}

/** Follow the stream of changes; the browser connects again by itself. Returns what ends it. */
export function follow(listener: Listener): () => void {
  let source: EventSource | null = null;
  let timer: number | undefined;
  const open = (): void => {
    source = new EventSource("/api/stream");
    const receive = (event: MessageEvent<string>): void => {
      listener.connected(true);
      try {
        listener.changed(JSON.parse(event.data) as Counts);
      } catch {
        // An event without data only says that the stream is open.
      }
    };
    source.addEventListener("hello", receive as EventListener);
    source.addEventListener("change", receive as EventListener);
    source.onopen = () => listener.connected(true);
    source.onerror = () => {
      listener.connected(false);
      if (source?.readyState === EventSource.CLOSED) timer = window.setTimeout(open, 1000); // refused: try again
    };
  };
  open();
  return () => {
    source?.close();
    clearTimeout(timer);
  };
}
