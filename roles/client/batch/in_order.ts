/** Many things done at once, their results in order. @module */

/** How much is done at once. */
export interface InOrderOptions {
  /** So many at once. */
  readonly concurrency: number;
  /** The furthest that work may be ahead of the first result that is missing; it bounds what waits. */
  readonly ahead: number;
}

/**
 * Does something for every item, several at once, and yields the results in the items' order. When one
 * fails, or the reader leaves, nothing further is begun, the signal that the others were given aborts,
 * and the iteration ends once they have ended.
 * @throws what the first of them in order threw
 */
export async function* inOrder<T, R>(
  items: readonly T[],
  act: (item: T, signal: AbortSignal) => Promise<R>,
  { concurrency, ahead }: InOrderOptions,
): AsyncGenerator<R, void> {
  const left = new AbortController();
  const waiting: Promise<R>[] = [];
  let begun = 0;
  let running = 0;
  const begin = () => {
    while (
      !left.signal.aborted && begun < items.length && running < concurrency &&
      waiting.length < ahead
    ) {
      running++;
      const result = act(items[begun++]!, left.signal).finally(() => {
        running--;
        begin();
      });
      // Whoever reads it gets the error; one behind a failure is never read.
      result.catch(() => {});
      waiting.push(result);
    }
  };
  begin();
  try {
    for (let first; (first = waiting[0]) !== undefined; begin()) {
      const result = await first;
      waiting.shift();
      yield result;
    }
  } finally {
    left.abort();
    await Promise.allSettled(waiting);
  }
}
