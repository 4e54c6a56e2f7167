/** A table whose columns sort, and whose rows are chosen by mouse or keyboard. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useKeys } from "../hooks.ts";

export interface Column<T> {
  id: string;
  title: ComponentChildren;
  cell: (row: T) => ComponentChildren;
  sort?: (row: T) => number | string;
  right?: boolean;
  class?: string;
}

interface Props<T> {
  rows: T[];
  columns: Column<T>[];
  id: (row: T) => string;
  sortedBy: string;
  selected: string | null;
  onSelect: (id: string | null) => void;
  onOpen?: (row: T) => void;
  label: string;
  class?: string;
}

const STEP = 100; // rows that are added when the end of the table comes near

export function Table<T>({ rows, columns, id, sortedBy, selected, onSelect, onOpen, label, class: name = "" }: Props<T>) {
  const [order, setOrder] = useState({ column: sortedBy, down: true });
  const [limit, setLimit] = useState(STEP);
  const frame = useRef<HTMLDivElement>(null);
  const by = columns.find((one) => one.id === order.column)?.sort;
  const sorted = by ? [...rows].sort((a, b) => compare(by(a), by(b)) * (order.down ? -1 : 1)) : rows;
  const index = sorted.findIndex((row) => id(row) === selected);
  const move = (step: number): void => {
    const next = sorted[Math.max(0, Math.min(sorted.length - 1, index < 0 ? 0 : index + step))];
    if (next) onSelect(id(next));
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => {
      const row = sorted[index];
      if (row) onOpen?.(row);
    },
    Escape: () => onSelect(null),
  });
  useEffect(() => frame.current?.querySelector(".selected")?.scrollIntoView({ block: "nearest" }), [selected]);
  const scrolled = (): void => {
    const element = frame.current;
    if (element && limit < rows.length && element.scrollTop + element.clientHeight > element.scrollHeight - 600) setLimit(limit + STEP);
  };
  return (
    <div class={`scroller table-frame ${name}`} ref={frame} onScroll={scrolled}>
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.id} class={`${column.right ? "right" : ""} ${column.class ?? ""}`} scope="col" aria-sort={order.column === column.id ? (order.down ? "descending" : "ascending") : "none"}>
                {column.sort ? (
                  <button type="button" onClick={() => setOrder({ column: column.id, down: order.column === column.id ? !order.down : true })}>
                    {column.title}
                    <span class="arrow" aria-hidden="true">{order.column === column.id ? (order.down ? "↓" : "↑") : ""}</span>
                  </button>
                ) : (
                  column.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, limit).map((row) => (
            <tr key={id(row)} class={id(row) === selected ? "selected" : ""} aria-selected={id(row) === selected} onClick={() => onSelect(id(row) === selected ? null : id(row))} onDblClick={() => onOpen?.(row)}>
              {columns.map((column) => (
                <td key={column.id} class={`${column.right ? "right number" : ""} ${column.class ?? ""}`}>{column.cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function compare(a: number | string, b: number | string): number {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}
