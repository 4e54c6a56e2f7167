/** The chosen item of a live list. */

import { useLayoutEffect, useState } from "preact/hooks";
import type { Pages } from "./live.ts";

export interface Selection<T> {
  item: T | null;
  index: number; // in the list; -1 when there is none, or when newer items have pushed it out
  select: (item: T | null) => void;
  move: (by: number) => void;
}

interface Chosen<T> {
  item: T;
  position: number;
  early: boolean; // while the list of the former query was shown
}

/**
 * What is chosen in a list stays chosen while newer items arrive. When the list of another query arrives without it,
 * nothing is chosen any more; a choice that the reader made while waiting for that list moves to the same position.
 */
export function useSelection<T>(pages: Pages<T>, id: (item: T) => string): Selection<T> {
  const [chosen, setChosen] = useState<Chosen<T> | null>(null);
  const { items, former } = pages;
  const index = chosen === null ? -1 : items.findIndex((one) => id(one) === id(chosen.item));
  const at = (position: number): void => {
    const item = items[Math.max(0, Math.min(items.length - 1, position))];
    setChosen(item === undefined ? null : { item, position, early: former });
  };
  useLayoutEffect(() => { // before the next key
    if (former || chosen === null) return;
    if (index < 0 && chosen.early) at(chosen.position);
    else setChosen(index < 0 ? null : { ...chosen, early: false });
  }, [former]);
  return {
    item: items[index] ?? chosen?.item ?? null,
    index,
    select: (item) => setChosen(item === null ? null : { item, position: items.indexOf(item), early: former }),
    move: (by) => at(index < 0 ? 0 : index + by),
  };
}
