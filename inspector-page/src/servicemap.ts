/** The places of services and of what they call, in layers from the callers to the called. */

import type { Edge, ServiceMap } from "./types.ts";

export interface Node {
  name: string;
  layer: number;
  x: number;
  y: number;
}

export interface Layout {
  nodes: Node[];
  width: number;
  height: number;
}

export interface Sizes {
  width: number; // of a node
  height: number;
  gap: number; // between layers
  space: number; // between the nodes of a layer
  down: boolean; // layers from top to bottom instead of left to right
}

/** The layer of each name: the longest way from a name that nobody calls. An edge that would close a circle is ignored. */
export function layers(names: string[], edges: Edge[]): Map<string, number> {
  const calls = new Map<string, string[]>();
  for (const edge of edges) if (edge.from !== edge.to) calls.set(edge.from, [...(calls.get(edge.from) ?? []), edge.to]);
  const found = new Map<string, number>();
  const open = new Set<string>();
  const visit = (name: string, layer: number): void => {
    if (open.has(name)) return;
    if ((found.get(name) ?? -1) >= layer) return;
    found.set(name, layer);
    open.add(name);
    for (const next of calls.get(name) ?? []) visit(next, layer + 1);
    open.delete(name);
  };
  const called = new Set(edges.filter((edge) => edge.from !== edge.to).map((edge) => edge.to));
  for (const name of names) if (!called.has(name)) visit(name, 0);
  for (const name of names) if (!found.has(name)) visit(name, 0);
  return found;
}

/** Places for every service and every end of an edge. */
export function layout(map: ServiceMap, sizes: Sizes): Layout {
  const names = [...new Set([...map.services.map((one) => one.name), ...map.edges.flatMap((one) => [one.from, one.to])])].sort();
  const layerOf = layers(names, map.edges);
  const columns: string[][] = [];
  for (const name of names) (columns[layerOf.get(name) ?? 0] ??= []).push(name);
  const order = new Map<string, number>();
  for (const column of columns) {
    const weight = (name: string): number => {
      const callers = map.edges.filter((edge) => edge.to === name && order.has(edge.from));
      return callers.length ? callers.reduce((sum, edge) => sum + (order.get(edge.from) ?? 0), 0) / callers.length : 0;
    };
    column.sort((a, b) => weight(a) - weight(b) || a.localeCompare(b));
    column.forEach((name, index) => order.set(name, index - (column.length - 1) / 2));
  }
  const most = Math.max(1, ...columns.map((column) => column.length));
  const [along, across] = sizes.down ? [sizes.height, sizes.width] : [sizes.width, sizes.height];
  const breadth = most * across + (most - 1) * sizes.space;
  const nodes = columns.flatMap((column, layer) => {
    const used = column.length * across + (column.length - 1) * sizes.space;
    return column.map((name, index) => {
      const far = layer * (along + sizes.gap);
      const side = (breadth - used) / 2 + index * (across + sizes.space);
      return { name, layer, x: sizes.down ? side : far, y: sizes.down ? far : side };
    });
  });
  const depth = columns.length * along + Math.max(0, columns.length - 1) * sizes.gap;
  return { nodes, width: sizes.down ? breadth : depth, height: sizes.down ? depth : breadth };
}
