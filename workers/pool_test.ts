import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { WorkerPool, type WorkerPoolOptions } from "./pool.ts";
import type { TestMethods } from "./pool_test_task.ts";

/** A pool that counts how often it starts a worker. */
class TestPool extends WorkerPool<TestMethods> {
  readonly counter: { starts: number };
  constructor(options: Partial<WorkerPoolOptions>, startWorker: () => Worker) {
    const counter = { starts: 0 };
    super({ name: "test", size: 1, init: {}, ...options }, () => {
      counter.starts++;
      return startWorker();
    });
    this.counter = counter;
  }
  [Symbol.dispose](): void {
    this.stop();
  }
}

function createPool(options: Partial<WorkerPoolOptions> = {}, module = "./pool_test_task.ts") {
  return new TestPool(
    options,
    () => new Worker(new URL(module, import.meta.url), { type: "module" }),
  );
}

/** Holds workers in `wait` until it is opened. */
class Gate {
  readonly cells = new Int32Array(new SharedArrayBuffer(8));
  open(): void {
    Atomics.store(this.cells, 0, 1);
    Atomics.notify(this.cells, 0);
  }
  /** Resolves when `count` calls wait here. */
  async held(count: number): Promise<void> {
    for (let seen: number; (seen = Atomics.load(this.cells, 1)) < count;) {
      await Atomics.waitAsync(this.cells, 1, seen).value;
    }
  }
}

const code = (code: string) => ({ name: "LloomError", code });

Deno.test("a call gives what its method returns", async () => {
  using pool = createPool();
  assert.equal(await pool.call("sum", [Uint8Array.of(1, 2, 3)]), 6);
  assert.deepEqual(pool.load(), { queued: 0, running: 0, workers: 1 });
});

Deno.test("buffers are handed over when asked, and copied otherwise", async () => {
  using pool = createPool();
  const bytes = new Uint8Array(1000).fill(1);
  assert.equal(await pool.call("sum", [bytes]), 1000);
  assert.equal(bytes.length, 1000);
  assert.equal(await pool.call("sum", [bytes], [bytes.buffer]), 1000);
  assert.equal(bytes.length, 0);
});

Deno.test("errors keep code and type on their way out of the worker", async () => {
  using pool = createPool();
  const refused = { ...code("price_too_low"), message: "admit: too low", retryAfterMs: 7 };
  await assert.rejects(pool.call("refuse", []), refused);
  await assert.rejects(pool.call("misuse", []), { name: "RangeError", message: "misused" });
  await assert.rejects(pool.call("fail", []), { ...code("internal"), message: "broken" });
  await assert.rejects(pool.call("uncloneable", []), code("internal"));
  await assert.rejects(pool.call("nothing" as "who", []), TypeError);
});

Deno.test("arguments that cannot be cloned fail that call alone", async () => {
  using pool = createPool();
  const bad = (() => {}) as unknown as Uint8Array;
  const calls = [pool.call("sum", [bad]), pool.call("sum", [Uint8Array.of(4)])] as const;
  await assert.rejects(calls[0], { name: "DataCloneError" });
  assert.equal(await calls[1], 4);
});

Deno.test("a full queue refuses as overloaded, and accepts again once drained", async () => {
  using pool = createPool({ callsPerWorker: 1, maxQueue: 2, retryAfterMs: 123 });
  const gate = new Gate();
  const first = pool.call("wait", [gate.cells]);
  await gate.held(1);
  const waiting = [pool.call("who", [])];
  assert.ok(pool.canAcceptWork());
  waiting.push(pool.call("who", []));
  assert.ok(!pool.canAcceptWork());
  assert.deepEqual(pool.load(), { queued: 2, running: 1, workers: 1 });
  await assert.rejects(pool.call("who", []), { ...code("overloaded"), retryAfterMs: 123 });
  gate.open();
  await Promise.all([first, ...waiting]);
  assert.ok(pool.canAcceptWork());
  assert.equal(await pool.call("sum", [Uint8Array.of(1)]), 1);
});

Deno.test("calls are answered in the order in which they were made", async () => {
  using pool = createPool({ callsPerWorker: 3 });
  const order: number[] = [];
  await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    await pool.call("sum", [Uint8Array.of(i)]);
    order.push(i);
  }));
  assert.deepEqual(order, Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("a second worker starts only when the first is full", async () => {
  using pool = createPool({ size: 2, callsPerWorker: 2 });
  const gate = new Gate();
  for (let i = 0; i < 3; i++) await Promise.all([pool.call("who", []), pool.call("who", [])]);
  assert.equal(pool.counter.starts, 1);
  const held = [pool.call("wait", [gate.cells]), pool.call("wait", [gate.cells])];
  await gate.held(1);
  assert.equal(pool.counter.starts, 1);
  const other = await pool.call("who", []);
  assert.equal(pool.load().workers, 2);
  gate.open();
  assert.notEqual(await held[0], other);
  await Promise.all(held);
});

Deno.test("no second worker starts while one is starting, however many calls wait", async () => {
  using pool = createPool({ size: 3, callsPerWorker: 1 });
  const calls = Array.from({ length: 20 }, () => pool.call("who", []));
  assert.equal(pool.counter.starts, 1);
  await Promise.all(calls);
});

Deno.test("a slow call holds up no calls that another worker can take", async () => {
  using pool = createPool({ size: 2, callsPerWorker: 1 });
  const gate = new Gate();
  const slow = pool.call("wait", [gate.cells]);
  const others = new Set<string>();
  for (let i = 0; i < 20; i++) others.add(await pool.call("who", []));
  gate.open();
  assert.equal(others.size, 1);
  assert.ok(!others.has(await slow));
});

Deno.test("calls go to the workers in equal parts", async () => {
  using pool = createPool({ size: 2, callsPerWorker: 4 });
  const gate = new Gate();
  const filling = Array.from({ length: 5 }, () => pool.call("wait", [gate.cells]));
  await gate.held(2); // both workers are up
  gate.open();
  await Promise.all(filling);
  const next = new Gate();
  const calls = Array.from({ length: 6 }, () => pool.call("wait", [next.cells]));
  next.open();
  const counts = Map.groupBy(await Promise.all(calls), (name) => name);
  assert.deepEqual([...counts.values()].map((calls) => calls.length), [3, 3]);
});

Deno.test("a crash fails the calls in that worker; those that wait get a new one", async () => {
  using pool = createPool({ callsPerWorker: 2, restartIntervalMs: 1 });
  const before = await pool.call("who", []);
  const calls = [pool.call("crash", []), pool.call("crash", []), pool.call("who", [])] as const;
  await assert.rejects(calls[0], code("worker_crashed"));
  await assert.rejects(calls[1], code("worker_crashed"));
  assert.notEqual(await calls[2], before);
});

Deno.test("a crash leaves the calls in other workers alone", async () => {
  using pool = createPool({ size: 2, callsPerWorker: 1, restartIntervalMs: 1 });
  const gate = new Gate();
  const held = pool.call("wait", [gate.cells]);
  await gate.held(1);
  await assert.rejects(pool.call("crash", []), code("worker_crashed"));
  gate.open();
  assert.equal(typeof await held, "string");
});

Deno.test("a worker that crashed is not started again before its interval has passed", async () => {
  using pool = createPool({ restartIntervalMs: 3_600_000 });
  await assert.rejects(pool.call("crash", []), code("worker_crashed"));
  const waiting = pool.call("who", []);
  assert.deepEqual(pool.load(), { queued: 1, running: 0, workers: 0 });
  pool.start();
  assert.deepEqual(pool.load(), { queued: 1, running: 0, workers: 0 });
  assert.equal(pool.counter.starts, 1);
  pool.stop();
  await assert.rejects(waiting, code("shutting_down"));
});

Deno.test("calls do not wait for a worker that cannot start", async () => {
  for (const pool of [createPool({ init: { broken: true } }), createPool({}, "./missing.ts")]) {
    using _ = pool;
    const calls = [pool.call("who", []), pool.call("who", [])];
    for (const call of calls) await assert.rejects(call, code("worker_crashed"));
  }
  using denied = new TestPool({ size: 2 }, () => {
    throw new Deno.errors.NotCapable("no");
  });
  await assert.rejects(denied.call("who", []), code("worker_crashed"));
});

Deno.test("a worker that could not start is tried again", async () => {
  const pool: TestPool = new TestPool({ size: 2 }, () => {
    if (pool.counter.starts === 1) throw new Error("once");
    return new Worker(new URL("./pool_test_task.ts", import.meta.url), { type: "module" });
  });
  await assert.rejects(pool.call("who", []), code("worker_crashed"));
  assert.equal(typeof await pool.call("who", []), "string");
  pool.stop();
});

Deno.test("stop fails all calls, and those made later", async () => {
  using pool = createPool({ callsPerWorker: 1 });
  const gate = new Gate();
  const calls = [pool.call("wait", [gate.cells]), pool.call("who", [])];
  await gate.held(1);
  pool.stop();
  for (const call of [...calls, pool.call("who", [])]) {
    await assert.rejects(call, code("shutting_down"));
  }
  pool.start();
  assert.ok(!pool.canAcceptWork());
  assert.deepEqual(pool.load(), { queued: 0, running: 0, workers: 0 });
});

Deno.test("among crashes, every call gets its own answer or worker_crashed", async () => {
  using pool = createPool({ size: 2, callsPerWorker: 4, restartIntervalMs: 0 });
  let crashed = 0;
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    try {
      if (i % 50 === 25) await pool.call("crash", []);
      assert.equal(await pool.call("sum", [Uint8Array.of(i, 1)]), i + 1);
    } catch (error) {
      assert.ok(error instanceof LloomError, String(error));
      assert.equal(error.code, "worker_crashed");
      crashed++;
    }
  }));
  assert.ok(crashed >= 4 && crashed <= 4 * 4, `${crashed} of 200`);
  assert.deepEqual({ ...pool.load(), workers: 0 }, { queued: 0, running: 0, workers: 0 });
});

Deno.test("a pool of no workers is a mistake", () => {
  assert.throws(() => createPool({ size: 0 }), RangeError);
  assert.throws(() => createPool({ size: 1.5 }), RangeError);
});
