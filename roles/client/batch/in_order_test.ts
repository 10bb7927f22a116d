import assert from "node:assert/strict";
import fc from "fast-check";
import { inOrder } from "./in_order.ts";

Deno.test("whatever ends first, results come in order, and no more is under way than allowed", () =>
  fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.nat(), { maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 8 }),
      async (scheduler, items, concurrency, ahead) => {
        let running = 0;
        let begun = 0;
        const results: number[] = [];
        const act = async (item: number) => {
          running++;
          begun++;
          assert.ok(running <= concurrency);
          assert.ok(begun - results.length <= ahead);
          const result = await scheduler.schedule(Promise.resolve(item));
          running--;
          return result;
        };
        const reading = (async () => {
          for await (const result of inOrder(items, act, { concurrency, ahead })) {
            results.push(result);
          }
        })();
        await scheduler.waitFor(reading);
        assert.deepEqual(results, items);
      },
    ),
    { numRuns: 100 },
  ));

Deno.test("a failure ends it: what came before is yielded, nothing is begun, the others are aborted", async () => {
  const begun: number[] = [];
  const aborted: number[] = [];
  const act = async (item: number, signal: AbortSignal): Promise<number> => {
    begun.push(item);
    if (item === 0) return 0;
    if (item === 1) throw new RangeError("one");
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    aborted.push(item);
    return item;
  };
  const results: number[] = [];
  await assert.rejects(async () => {
    const options = { concurrency: 3, ahead: 9 };
    for await (const result of inOrder([0, 1, 2, 3, 4, 5, 6], act, options)) results.push(result);
  }, RangeError);
  assert.deepEqual(results, [0]);
  assert.deepEqual(aborted, begun.slice(2));
  assert.ok(begun.length < 7);
});

Deno.test("a reader that leaves aborts what is under way", async () => {
  let aborted = 0;
  const act = (item: number, signal: AbortSignal): Promise<number> =>
    item === 0
      ? Promise.resolve(0)
      : new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          aborted++;
          resolve(item);
        })
      );
  for await (const _ of inOrder([0, 1, 2], act, { concurrency: 3, ahead: 3 })) break;
  assert.equal(aborted, 2);
});
