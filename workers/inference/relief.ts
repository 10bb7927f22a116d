/** Whose answer is cut short when others wait too long. @module */

/** A request that waits, or is being answered. */
export interface Place {
  /** Whose it is. */
  readonly client: string;
  /** When it began to wait, or to be answered, in milliseconds. */
  readonly since: number;
  /** Its answer waits for its reader. */
  readonly paused: boolean;
  /** It was told to end, to make room. */
  readonly leaving: boolean;
}

/**
 * The answers that must make room: one for each client that has waited since `latest` or longer and
 * is given nothing. Of the client with most, while it has several, the one that waits for its
 * reader, or the one under way for longest.
 */
export function toCutShort<T extends Place>(
  waiting: Iterable<Place>,
  active: readonly T[],
  latest: number,
): readonly T[] {
  const served = new Set(active.map(({ client }) => client));
  const wanting = new Set<string>();
  for (const { client, since } of waiting) {
    if (since <= latest && !served.has(client)) wanting.add(client);
  }
  const staying = active.filter(({ leaving }) => !leaving)
    .sort((a, b) => Number(b.paused) - Number(a.paused) || a.since - b.since);
  const byClient = [...Map.groupBy(staying, ({ client }) => client).values()];
  const cut: T[] = [];
  for (let left = wanting.size - (active.length - staying.length); left > 0; left--) {
    const most = byClient.reduce((a, b) => b.length > a.length ? b : a, []);
    if (most.length < 2) break;
    cut.push(most.shift()!);
  }
  return cut;
}
