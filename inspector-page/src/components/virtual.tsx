/** A list of rows of one height, of which only the visible ones exist in the document. */

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

interface Props<T> {
  items: T[];
  rowHeight: number;
  id: (item: T) => string;
  row: (item: T, index: number, selected: boolean) => ComponentChildren;
  label: string;
  selected?: number;
  onEnd?: () => void;
  onTop?: (atTop: boolean) => void;
  header?: ComponentChildren;
  class?: string;
}

const MARGIN = 8; // rows above and below the window

export function VirtualList<T>(props: Props<T>) {
  const { items, rowHeight, id, row, selected = -1, onEnd, onTop } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });

  const measure = (): void => {
    const element = scroller.current;
    if (!element) return;
    setView((before) => (before.top === element.scrollTop && before.height === element.clientHeight ? before : { top: element.scrollTop, height: element.clientHeight }));
    onTop?.(element.scrollTop < rowHeight);
    if (element.scrollTop + element.clientHeight > element.scrollHeight - 20 * rowHeight) onEnd?.();
  };

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(measure, [items.length, rowHeight]);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || selected < 0) return;
    const above = head.current?.offsetHeight ?? 0;
    const top = selected * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight - above) element.scrollTop = top + rowHeight - element.clientHeight + above;
  }, [selected, rowHeight]);

  const first = Math.max(0, Math.floor(view.top / rowHeight) - MARGIN);
  const last = Math.min(items.length, Math.ceil((view.top + view.height) / rowHeight) + MARGIN);
  return (
    <div class={`scroller ${props.class ?? ""}`} ref={scroller} onScroll={measure} tabIndex={-1}>
      {props.header && <div class="list-head" ref={head}>{props.header}</div>}
      <div class="virtual" role="list" aria-label={props.label} style={{ height: `${items.length * rowHeight}px` }}>
        {items.slice(first, last).map((item, offset) => (
          <div role="listitem" class="virtual-row" key={id(item)} style={{ top: `${(first + offset) * rowHeight}px`, height: `${rowHeight}px` }}>
            {row(item, first + offset, first + offset === selected)}
          </div>
        ))}
      </div>
    </div>
  );
}
