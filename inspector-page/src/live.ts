/** The state of the stream, shared by the views: counts, connection, pause. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, follow, get } from "./api.ts";
import type { Counts, Paged } from "./types.ts";

export interface Live {
  connected: boolean;
  paused: boolean;
  counts: Counts | null;
  tick: number; // grows with every change that the views should show
}

type Watcher = (live: Live) => void;
let live: Live = { connected: false, paused: false, counts: null, tick: 0 };
const watchers = new Set<Watcher>();

function set(change: Partial<Live>): void {
  live = { ...live, ...change };
  for (const watcher of watchers) watcher(live);
}

export function start(): () => void {
  return follow({
    changed: (counts) => set({ counts: counts && typeof counts.requests === "number" ? counts : live.counts, tick: live.paused ? live.tick : live.tick + 1 }),
    connected: (connected) => {
      if (connected !== live.connected) set({ connected, tick: live.paused || !connected ? live.tick : live.tick + 1 });
    },
  });
}

export function pause(paused: boolean): void {
  set({ paused, tick: paused ? live.tick : live.tick + 1 });
}

export function refresh(): void {
  set({ tick: live.tick + 1 });
}

export function isPaused(): boolean {
  return live.paused;
}

export function useLive(): Live {
  const [state, setState] = useState(live);
  useEffect(() => {
    watchers.add(setState);
    setState(live);
    return () => void watchers.delete(setState);
  }, []);
  return state;
}

export interface Loaded<T> {
  data: T | null;
  error: string | null;
  status: number;
}

const LONGEST = 5_000; // milliseconds between two requests
const SHARE = 4; // of what an answer took: asks for a quarter of the time at most

/** When to ask again: an answer over a full store costs the server much, which may be busy with what arrives. */
function pauseAfter(interval: number, took: number): number {
  return Math.min(LONGEST, Math.max(interval, SHARE * took));
}

/** The answer for a path, loaded again after changes: at most once in `interval` milliseconds, one request at a time. */
export function useData<T>(path: string | null, interval = 300): Loaded<T> {
  const { tick } = useLive();
  const [loaded, setLoaded] = useState<Loaded<T> & { path: string | null }>({ data: null, error: null, status: 0, path: null });
  const wanted = useRef({ path, tick });
  const busy = useRef(false);
  const last = useRef(0);
  const took = useRef(0);
  const timer = useRef<number | undefined>(undefined);
  const alive = useRef(true);
  const done = useRef("");
  wanted.current = { path, tick };

  const load = (): void => {
    const { path: now, tick: at } = wanted.current;
    if (busy.current || now === null || !alive.current) return;
    const mark = `${at} ${now}`;
    if (mark === done.current) return;
    const wait = done.current.endsWith(` ${now}`) ? last.current + pauseAfter(interval, took.current) - performance.now() : 0;
    clearTimeout(timer.current);
    if (wait > 0) {
      timer.current = window.setTimeout(load, wait);
      return;
    }
    busy.current = true;
    last.current = performance.now();
    get<T>(now)
      .then(
        (data) => alive.current && wanted.current.path === now && setLoaded({ data, error: null, status: 200, path: now }),
        (error: unknown) =>
          alive.current &&
          wanted.current.path === now &&
          setLoaded((before) => ({ data: before.path === now ? before.data : null, error: String((error as Error).message), status: error instanceof ApiError ? error.status : 0, path: now })),
      )
      .finally(() => {
        took.current = performance.now() - last.current;
        busy.current = false;
        done.current = mark;
        load(); // the path or the tick may have changed meanwhile
      });
  };
  useEffect(load, [path, tick]);
  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
      clearTimeout(timer.current);
    };
  }, []);
  return loaded;
}

export interface Pages<T> {
  items: T[];
  total: number;
  error: string | null;
  loading: boolean;
  former: boolean; // the items are those of the former query, until its own are there
  fresh: number; // new items that are held back while the reader is not at the top
  more: () => void;
  release: () => void;
}

/** A list in pages, the newest first: new items join at the top, older pages are loaded on demand. */
export function usePages<T>(
  load: (before: string | null) => Promise<Paged<T>>,
  key: string,
  id: (item: T) => string,
  time: (item: T) => number,
  held: () => boolean,
): Pages<T> {
  const { tick } = useLive();
  const [state, setState] = useState<{ key: string | null; items: T[]; next: string | null; total: number; error: string | null; pending: T[] }>({
    key: null, items: [], next: null, total: 0, error: null, pending: [],
  });
  const current = useRef(state);
  current.current = state;
  const busy = useRef(false);
  const again = useRef(false);
  const anew = useRef(false); // the next page replaces the list
  const alive = useRef(true);
  const last = useRef(0);
  const timer = useRef<number | undefined>(undefined);
  const loadNow = useRef(load);
  loadNow.current = load;
  const wanted = useRef(key);
  wanted.current = key;

  const apply = (page: Paged<T>): void => {
    const before = current.current;
    const sorted = [...page.items].sort((a, b) => time(b) - time(a));
    if (before.key !== wanted.current || before.items.length === 0 || anew.current) {
      anew.current = false;
      setState({ key: wanted.current, items: sorted, next: page.next, total: page.total, error: null, pending: [] });
      return;
    }
    const known = new Set(before.items.map(id));
    const arrived = sorted.filter((item) => !known.has(id(item)));
    const overlaps = arrived.length < sorted.length;
    const newest = new Map(sorted.map((item) => [id(item), item]));
    const updated = before.items.map((item) => newest.get(id(item)) ?? item);
    if (held() && page.total >= before.total) {
      setState({ ...before, items: updated, total: page.total, error: null, pending: arrived });
    } else if (overlaps && page.total >= before.total) {
      const items = arrived.length ? [...arrived, ...updated].sort((a, b) => time(b) - time(a)) : updated;
      setState({ ...before, items, total: page.total, error: null, pending: [] });
    } else {
      // More arrived than one page has, or items are gone: begin anew.
      setState({ key: wanted.current, items: sorted, next: page.next, total: page.total, error: null, pending: [] });
    }
  };

  const reload = (): void => {
    if (!alive.current) return;
    if (busy.current) {
      again.current = true;
      return;
    }
    const wait = current.current.key === wanted.current ? last.current + 300 - performance.now() : 0;
    clearTimeout(timer.current);
    if (wait > 0) {
      timer.current = window.setTimeout(reload, wait);
      return;
    }
    busy.current = true;
    last.current = performance.now();
    const asked = wanted.current;
    loadNow
      .current(null)
      .then(
        (page) => alive.current && asked === wanted.current && apply(page),
        (error: unknown) => {
          if (!alive.current || asked !== wanted.current) return;
          anew.current = true; // the items that stay are those of the former query
          setState((before) => ({ ...before, key: asked, error: String((error as Error).message) }));
        },
      )
      .finally(() => {
        busy.current = false;
        if (again.current || asked !== wanted.current) {
          again.current = false;
          reload();
        }
      });
  };

  const more = (): void => {
    const { next } = current.current;
    if (next === null || busy.current || current.current.key !== wanted.current) return;
    busy.current = true;
    const asked = wanted.current;
    loadNow
      .current(next)
      .then(
        (page) => {
          if (!alive.current || asked !== wanted.current) return;
          setState((before) => {
            const known = new Set(before.items.map(id));
            const older = page.items.filter((item) => !known.has(id(item)));
            return { ...before, items: [...before.items, ...older], next: page.next, total: page.total };
          });
        },
        () => undefined, // scrolling on asks again
      )
      .finally(() => {
        busy.current = false;
        if (again.current) {
          again.current = false;
          reload();
        }
      });
  };

  const release = (): void => {
    anew.current = true;
    last.current = 0;
    reload();
  };

  useEffect(reload, [key, tick]);
  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
      clearTimeout(timer.current);
    };
  }, []);
  const ours = state.key === key;
  return {
    items: state.items,
    total: state.total,
    error: ours ? state.error : null,
    loading: state.key === null,
    former: !ours,
    fresh: state.pending.length,
    more,
    release,
  };
}
