/** The places of services and of what they call, in layers from the callers to the called. */

import type { Edge, ServiceMap } from "./types.ts";

export interface Point {
  x: number;
  y: number;
}

export interface Node extends Point {
  name: string;
  layer: number;
}

export interface Layout {
  nodes: Node[];
  bends: Map<Edge, Point[]>; // where an edge passes the layers between its ends
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
    if (open.has(name) || (found.get(name) ?? -1) >= layer) return;
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

/** The map with one edge for each pair: where two kinds of calls go to one database, all go to the database. */
export function joined(map: ServiceMap): ServiceMap {
  const pairs = new Map<string, Edge>();
  for (const edge of map.edges) {
    const key = JSON.stringify([edge.from, edge.to]);
    const other = pairs.get(key);
    const main = !other || edge.count > other.count ? edge : other;
    pairs.set(key, other ? { ...main, count: edge.count + other.count, errors: edge.errors + other.errors } : edge);
  }
  return { services: map.services, edges: [...pairs.values()] };
}

interface Place {
  layer: number;
  size: number; // across the direction of the layers
  before: Place[]; // neighbours in the layer before
  order: number;
  side: number;
  name: string;
}

/** Places for every service and every end of an edge. */
export function layout(map: ServiceMap, sizes: Sizes): Layout {
  const names = [...new Set([...map.services.map((one) => one.name), ...map.edges.flatMap((one) => [one.from, one.to])])].sort();
  const layerOf = layers(names, map.edges);
  const [along, across] = sizes.down ? [sizes.height, sizes.width] : [sizes.width, sizes.height];
  const columns: Place[][] = [];
  const add = (name: string, layer: number, size: number): Place => {
    const place: Place = { name, layer, size, before: [], order: 0, side: 0 };
    (columns[layer] ??= []).push(place);
    return place;
  };
  const places = new Map(names.map((name) => [name, add(name, layerOf.get(name) ?? 0, across)]));
  const passing = new Map<Edge, Place[]>();
  for (const edge of map.edges) {
    const [from, to] = [places.get(edge.from) as Place, places.get(edge.to) as Place];
    if (to.layer <= from.layer) continue;
    const way = [from];
    for (let layer = from.layer + 1; layer < to.layer; layer += 1) way.push(add(`${edge.from} ${edge.to}`, layer, sizes.space));
    way.push(to);
    way.slice(1).forEach((place, index) => place.before.push(way[index] as Place));
    passing.set(edge, way.slice(1, -1));
  }
  const breadthOf = (column: Place[]): number => column.reduce((sum, one) => sum + one.size, 0) + (column.length - 1) * sizes.space;
  const breadth = Math.max(across, ...columns.map(breadthOf));
  for (const column of columns) {
    for (const place of column) place.order = place.before.length ? place.before.reduce((sum, one) => sum + one.side, 0) / place.before.length : breadth / 2;
    column.sort((a, b) => a.order - b.order || a.name.localeCompare(b.name));
    let side = (breadth - breadthOf(column)) / 2;
    for (const place of column) {
      place.side = side + place.size / 2;
      side += place.size + sizes.space;
    }
  }
  const far = (layer: number): number => layer * (along + sizes.gap);
  const nodes = names.map((name) => {
    const { layer, side } = places.get(name) as Place;
    const start = side - across / 2;
    return { name, layer, x: sizes.down ? start : far(layer), y: sizes.down ? far(layer) : start };
  });
  const bends = new Map<Edge, Point[]>();
  for (const [edge, way] of passing) {
    bends.set(
      edge,
      way.flatMap(({ layer, side }) => [far(layer), far(layer) + along].map((at) => (sizes.down ? { x: side, y: at } : { x: at, y: side }))),
    );
  }
  const depth = columns.length * along + Math.max(0, columns.length - 1) * sizes.gap;
  return { nodes, bends, width: sizes.down ? breadth : depth, height: sizes.down ? depth : breadth };
}
