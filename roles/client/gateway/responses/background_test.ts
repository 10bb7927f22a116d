import { LloomError } from "@lloom/core/errors";
import type { StoredResponse } from "@lloom/host/stores";
import assert from "node:assert/strict";
import OpenAI from "openai";
import {
  deltaOf,
  FakeEngine,
  type FakeScript,
  linesOf,
  sayingSteps,
} from "../../../../tests/support/fake_engine.ts";
import type { postCallback } from "../../callback.ts";
import type { Ask } from "../answer.ts";
import { BackgroundResponses } from "./background.ts";
import { responseOf, type ResponseStore } from "./response_store.ts";
import { responsesRoutes } from "./responses_routes.ts";

/** Keeps responses for a test, and tells when something about one of them holds. */
class MemoryStore implements ResponseStore {
  readonly #kept = new Map<string, StoredResponse>();
  readonly #watches: (() => void)[] = [];

  put(stored: StoredResponse): void {
    this.#kept.set(stored.id, stored);
    for (const watch of this.#watches) watch();
  }

  get(id: string): StoredResponse | undefined {
    return this.#kept.get(id);
  }

  delete(id: string): boolean {
    return this.#kept.delete(id);
  }

  unfinished(): readonly string[] {
    return [...this.#kept.values()]
      .filter(({ job, callbackUrl }) => job !== undefined || callbackUrl !== undefined)
      .map(({ id }) => id);
  }

  async until(id: string, holds: (stored: StoredResponse) => boolean): Promise<StoredResponse> {
    const { promise, resolve } = Promise.withResolvers<StoredResponse>();
    const look = () => {
      const stored = this.get(id);
      if (stored !== undefined && holds(stored)) resolve(stored);
    };
    this.#watches.push(look);
    look();
    return await promise;
  }
}

const isOver = ({ job }: StoredResponse) => job === undefined;
const isTold = (stored: StoredResponse) => isOver(stored) && stored.callbackUrl === undefined;

interface GatewayOptions {
  readonly store: MemoryStore;
  readonly tell?: typeof postCallback;
  readonly maxRunning?: number;
}

/** A gateway on a store, as one process of it after another may be. */
function gatewayOn(script: FakeScript | ((ask: Ask) => FakeScript), options: GatewayOptions) {
  const { store } = options;
  const engine = new FakeEngine(script);
  const background = new BackgroundResponses({ engine, retriesMs: [0, 0], ...options });
  const routes = responsesRoutes({ engine, store, background });
  const client = new OpenAI({
    apiKey: "key",
    baseURL: "http://gateway.test/v1",
    maxRetries: 0,
    fetch: async (input, init) => await routes.fetch(new Request(input, init)),
  });
  return { engine, background, client };
}

const ASKING = { model: "m", input: "Hi", background: true } as const;
const TELLING = { headers: { "X-Lloom-Callback-Url": "http://there.test/told" } };

const never = () => new Promise<never>(() => {});

Deno.test("a background response is queued, in progress, and then there", async () => {
  const gate = Promise.withResolvers<void>();
  const store = new MemoryStore();
  const script = { before: [gate.promise], steps: sayingSteps("Hello") };
  const { client, background } = gatewayOn(script, { store });
  const { id, status } = await client.responses.create(ASKING);
  assert.equal(status, "queued");
  assert.equal((await client.responses.retrieve(id)).status, "in_progress");
  gate.resolve();
  await store.until(id, isOver);
  const response = await client.responses.retrieve(id);
  assert.equal(response.status, "completed");
  assert.equal(response.output_text, "Hello");
  await background.stop();
});

Deno.test("what was accepted is made by the next process, with its routing", async () => {
  const store = new MemoryStore();
  const first = gatewayOn({ before: [never()] }, { store });
  const headers = { "X-Lloom-Strategy": "fastest" };
  const asking = { ...ASKING, prompt_cache_key: "talk" };
  const { id } = await first.client.responses.create(asking, { headers });
  await first.background.stop();
  assert.deepEqual(store.unfinished(), [id]);
  const second = gatewayOn({ steps: sayingSteps("Hello") }, { store });
  second.background.resume();
  await store.until(id, isOver);
  assert.equal((await second.client.responses.retrieve(id)).output_text, "Hello");
  const { strategy, conversation } = second.engine.asks[0]?.wishes ?? {};
  assert.deepEqual([strategy, conversation], ["fastest", "talk"]);
  assert.deepEqual(store.unfinished(), []);
  await second.background.stop();
});

Deno.test("a response that no process lives to make is given up: each asking may have been paid", async () => {
  const store = new MemoryStore();
  const asked: number[] = [];
  let id = "";
  for (let i = 0; i < 7; i++) {
    const { client, background, engine } = gatewayOn({ before: [never()] }, { store });
    if (id === "") id = (await client.responses.create(ASKING)).id;
    else background.resume();
    if (i < 5) await store.until(id, () => engine.asks.length === 1 || background.isRunning(id));
    else await store.until(id, isOver);
    await background.stop();
    asked.push(engine.asks.length);
  }
  assert.deepEqual(asked, [1, 1, 1, 1, 1, 0, 0]);
  assert.equal(responseOf(store.get(id)!).status, "failed");
});

Deno.test("of a response that is cancelled twice at once, somebody is told once", async () => {
  const store = new MemoryStore();
  let told = 0;
  const { client, background } = gatewayOn({ before: [never()] }, {
    store,
    tell: () => Promise.resolve(void told++),
  });
  const { id } = await client.responses.create(ASKING, TELLING);
  await Promise.all([client.responses.cancel(id), client.responses.cancel(id)]);
  await store.until(id, isTold);
  await background.stop();
  assert.equal(told, 1);
});

Deno.test("a cancelled response ends the question, and one that is over stays as it is", async () => {
  const store = new MemoryStore();
  const { client, engine, background } = gatewayOn({ before: [never()] }, {
    store,
    maxRunning: 1,
  });
  const running = await client.responses.create(ASKING);
  const waiting = await client.responses.create(ASKING);
  assert.equal((await client.responses.cancel(waiting.id)).status, "cancelled");
  assert.equal((await client.responses.cancel(running.id)).status, "cancelled");
  await engine.cancelled;
  assert.equal(engine.asks.length, 1);
  assert.equal((await client.responses.cancel(running.id)).status, "cancelled");
  assert.equal((await client.responses.retrieve(running.id)).status, "cancelled");
  await background.stop();

  const other = gatewayOn({ steps: sayingSteps("Hello") }, { store });
  const { id } = await other.client.responses.create(ASKING);
  await store.until(id, isOver);
  assert.equal((await other.client.responses.cancel(id)).status, "completed");
  const { id: direct } = await other.client.responses.create({ model: "m", input: "Hi" });
  await assert.rejects(other.client.responses.cancel(direct), OpenAI.BadRequestError);
});

Deno.test("deleting a response that is being made ends it", async () => {
  const store = new MemoryStore();
  const { client, engine, background } = gatewayOn({ before: [never()] }, { store });
  const { id } = await client.responses.create(ASKING);
  await client.responses.delete(id);
  await engine.cancelled;
  assert.equal(store.get(id), undefined);
  await background.stop();
});

Deno.test("failures of a moment are tried again, others are kept as they are", async () => {
  const store = new MemoryStore();
  const fail = (code: "no_executor" | "stream_broken") => new LloomError(code, "ask: no");
  let attempts = 0;
  const passing = gatewayOn(
    () => ++attempts === 1 ? { before: [fail("no_executor")] } : { steps: sayingSteps("Hello") },
    { store },
  );
  const first = await passing.client.responses.create(ASKING);
  assert.equal(responseOf(await store.until(first.id, isOver)).status, "completed");
  assert.equal(attempts, 2);
  const steps = [linesOf(deltaOf({ content: "Hel" })), fail("stream_broken")];
  const breaking = gatewayOn({ steps }, { store });
  const second = await breaking.client.responses.create(ASKING);
  const { status, error, output } = responseOf(await store.until(second.id, isOver));
  assert.equal(status, "failed");
  assert.equal(error?.code, "server_error");
  assert.equal(output.length, 1);
  assert.equal(breaking.engine.asks.length, 1);
});

Deno.test("what was begun is not asked again, whatever its executor says it broke for", async () => {
  const store = new MemoryStore();
  const busy = new LloomError("overloaded", "ask: come back");
  const { client, engine } = gatewayOn(
    { steps: [linesOf(deltaOf({ content: "Hel" })), busy] },
    { store },
  );
  const { id } = await client.responses.create(ASKING);
  assert.equal(responseOf(await store.until(id, isOver)).status, "failed");
  assert.equal(engine.asks.length, 1);
});

Deno.test("somebody is told of a response once it is over, if need be by the next process", async () => {
  const store = new MemoryStore();
  const told: unknown[] = [];
  const first = gatewayOn({ steps: sayingSteps("Hello") }, {
    store,
    tell: (url, response) => {
      told.push([url, response]);
      return Promise.resolve();
    },
  });
  const { id } = await first.client.responses.create(ASKING, TELLING);
  const stored = await store.until(id, isTold);
  assert.deepEqual(told, [["http://there.test/told", responseOf(stored)]]);
  await first.background.stop();

  const reached = Promise.withResolvers<void>();
  const second = gatewayOn({ steps: sayingSteps("Hello") }, {
    store,
    tell: (_url, _response, signal) => {
      reached.resolve();
      const { promise, reject } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => reject(signal.reason));
      return promise;
    },
  });
  const { id: later } = await second.client.responses.create(ASKING, TELLING);
  await reached.promise;
  await second.background.stop();
  assert.deepEqual(store.unfinished(), [later]);
  const third = gatewayOn({}, { store, tell: () => Promise.resolve() });
  third.background.resume();
  await store.until(later, isTold);
  assert.equal(third.engine.asks.length, 0);
});

Deno.test("who cannot be told is given up, and the response stays", async () => {
  const store = new MemoryStore();
  const { client } = gatewayOn({ steps: sayingSteps("Hello") }, {
    store,
    tell: () => Promise.reject(new LloomError("peer_unreachable", "post callback: HTTP 500")),
  });
  const { id } = await client.responses.create(ASKING, TELLING);
  await store.until(id, isTold);
  assert.equal((await client.responses.retrieve(id)).status, "completed");
});

Deno.test("what cannot be made in the background is refused while somebody listens", async () => {
  const store = new MemoryStore();
  const { client } = gatewayOn({}, { store });
  const refused = async (body: object, headers: Record<string, string> = {}) => {
    const params = { ...ASKING, ...body } as OpenAI.Responses.ResponseCreateParams;
    await assert.rejects(client.responses.create(params, { headers }), OpenAI.BadRequestError);
  };
  await refused({ stream: true });
  await refused({ store: false });
  await refused({ background: false }, TELLING.headers);
  await refused({}, { "X-Lloom-Callback-Url": "file:///etc/passwd" });
  await refused({}, { "X-Lloom-Callback-Url": "http://user:word@there.test/" });
  await refused({}, { "X-Lloom-Timeout-Ms": "soon" });
  await refused({ stop: 5 });
  assert.deepEqual(store.unfinished(), []);
});
