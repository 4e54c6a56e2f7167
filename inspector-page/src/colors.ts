/** Each service keeps one colour of the palette (`--series-0` to `--series-7`, told apart by colour-blind readers). */

export const PALETTE_SIZE = 8;
const taken = new Map<string, number>();

/** The colour's number: from the name, so that it is the same after a reload, unless another service has it. */
export function seriesOf(service: string): number {
  const known = taken.get(service);
  if (known !== undefined) return known;
  let hash = 0;
  for (const character of service) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  let index = hash % PALETTE_SIZE;
  const used = new Set(taken.values());
  for (let tries = 0; used.has(index) && tries < PALETTE_SIZE; tries += 1) index = (index + 1) % PALETTE_SIZE;
  taken.set(service, index);
  return index;
}

/** Give services their colours in the order of their names. */
export function assign(services: string[]): void {
  for (const service of [...services].sort()) seriesOf(service);
}

export function colorOf(service: string): string {
  return `var(--series-${seriesOf(service)})`;
}
