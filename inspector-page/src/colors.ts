/** Each service keeps one colour of the palette (`--series-0` to `--series-7`, told apart by colour-blind readers). */

export const PALETTE_SIZE = 8;
const taken = new Map<string, number>();

/** The colour's number: services get the colours in the order in which the page meets them. */
export function seriesOf(service: string): number {
  const known = taken.get(service);
  if (known !== undefined) return known;
  const index = taken.size % PALETTE_SIZE;
  taken.set(service, index);
  return index;
}

/** Give services their colours in this order: the server's, so that they are the same after a reload. */
export function assign(services: string[]): void {
  for (const service of services) seriesOf(service);
}

export function colorOf(service: string): string {
  return `var(--series-${seriesOf(service)})`;
}
