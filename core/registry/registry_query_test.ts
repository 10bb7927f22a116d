import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../errors.ts";
import type { Verifier } from "../ports.ts";
import { MAX_ANSWER_BYTES, QUERY_RATE } from "../protocol/limits.ts";
import { encodeCbor } from "../protocol/cbor.ts";
import { encodeAnswer, type ListedExecutor } from "../protocol/registry/answer.ts";
import { encodeQuery, type OfferFilters, type RegistryQuery } from "../protocol/registry/query.ts";
import { executor, offer, verifier } from "../../tests/support/executor.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { memoryStreams } from "../../tests/support/memory_stream.ts";
import { matchesOffer } from "./match_offer.ts";
import { Registry } from "./registry.ts";
import { queryPages, queryRegistry, verifiedExecutors } from "./registry_client.ts";
import { RegistryServer } from "./registry_server.ts";

const signal = new AbortController().signal;
const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;

/** A registry that is served over a stream. */
function served(idleMs?: number) {
  const clock = new ManualClock();
  const registry = new Registry({}, { clock });
  const server = new RegistryServer(idleMs === undefined ? {} : { idleMs }, { registry, clock });
  const [stream, far] = memoryStreams();
  const done = server.serve(far);
  return {
    clock,
    registry,
    server,
    stream,
    far,
    done,
    components: { clock, verifier },
  };
}

/** Puts an executor whose announcement nobody signed into a registry. */
function put(registry: Registry, peerId: string, timestamp: number, models = [offer()], size = 1) {
  const { announcement } = ANYONE;
  const signed = { body: new Uint8Array(size), signature: new Uint8Array(65) };
  registry.apply(signed, announcement({ timestamp, peerId, models }));
}
const ANYONE = executor();

Deno.test("many queries are answered in sequence on one stream", async () => {
  const { clock, registry, stream, done } = served(1e9);
  const alice = executor();
  const announcement = alice.announcement({
    timestamp: clock.now(),
    models: [
      offer({ id: "a", contextLength: 100, features: ["tools"] }),
      offer({ id: "b", available: false }),
    ],
  });
  registry.apply(await alice.sign(announcement), announcement);
  put(registry, "other", clock.now(), [offer({ id: "a", inboundPrice: 7n, features: ["vision"] })]);
  clock.advance(40_000);
  put(registry, "later", clock.now(), [offer({ id: "c" })]);
  clock.advance(60_000); // the first two are stale now

  const models = await queryRegistry(stream, { type: "list_models" }, signal);
  assert.equal(models.total, 3);
  assert.deepEqual(models.models[0], {
    id: "a",
    executors: 2,
    available: 0,
    inboundPrice: { low: 1n, high: 7n },
    outboundPrice: { low: 2n, high: 2n },
    contextLength: 100,
    features: ["tools", "vision"],
  });
  assert.equal(models.models[2]?.available, 1);

  const found = await queryRegistry(stream, { type: "find_model", model: "b" }, signal);
  assert.deepEqual(found.executors.map(({ lastSeenMsAgo }) => lastSeenMsAgo), [100_000]);
  const none = await queryRegistry(stream, { type: "find_model", model: "A" }, signal);
  assert.deepEqual(none, { type: "executors", executors: [], total: 0 });

  const peerIds = ["later", "nobody", "later", alice.peerId];
  const named = await queryRegistry(stream, { type: "executors", peerIds }, signal);
  assert.equal(named.total, 2);

  const filters = { onlyAvailable: true };
  const search = await queryRegistry(stream, { type: "search", filters }, signal);
  assert.equal(search.total, 1);

  const { statistics } = await queryRegistry(stream, { type: "statistics" }, signal);
  assert.deepEqual(statistics, {
    liveExecutors: 1,
    staleExecutors: 2,
    models: 1,
    announcements: 3,
    queries: 6,
    uptimeMs: 100_000,
  });
  await stream.close();
  await done;
  assert.equal(clock.armed, 0);
});

Deno.test("each filter refuses what does not meet it, and what does not tell", () => {
  const full = offer({
    backend: "vllm",
    contextLength: 100,
    features: ["tools", "vision"],
    inboundPrice: 5n,
    outboundPrice: 6n,
    performance: { tokensPerSecond: 1, timeToFirstTokenMs: 1, successRate: 0.9 },
  });
  const cases: [met: OfferFilters, unmet: OfferFilters][] = [
    [{ backend: "vllm" }, { backend: "ollama" }],
    [{ minContextLength: 100 }, { minContextLength: 101 }],
    [{ requiredFeatures: ["vision"] }, { requiredFeatures: ["vision", "json_schema"] }],
    [{ maxInboundPrice: 5n }, { maxInboundPrice: 4n }],
    [{ maxOutboundPrice: 6n }, { maxOutboundPrice: 5n }],
    [{ minSuccessRate: 0.9 }, { minSuccessRate: 0.91 }],
  ];
  for (const [met, unmet] of cases) {
    assert.equal(matchesOffer(full, met, true), true);
    assert.equal(matchesOffer(full, unmet, true), false);
  }
  assert.equal(matchesOffer(offer(), { minContextLength: 0 }, true), false);
  assert.equal(matchesOffer(offer(), { minSuccessRate: 0 }, true), false);
  assert.equal(matchesOffer(offer(), { onlyAvailable: true }, true), true);
  assert.equal(matchesOffer(offer(), { onlyAvailable: true }, false), false);
  assert.equal(matchesOffer(offer({ available: false }), { onlyAvailable: true }, true), false);
});

Deno.test("pages together are the whole list, once each and in order, while others come", async () => {
  const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(ids, fc.integer({ min: 1, max: 7 }), async (ids, limit) => {
      const { clock, registry, stream } = served();
      for (const id of ids) put(registry, id, clock.now(), [offer({ id: `model ${id}` })]);
      const models: string[] = [];
      const query = { type: "list_models", page: { limit } } as const;
      for await (const answer of queryPages(stream, query, signal)) {
        assert(answer.models.length <= limit);
        models.push(...answer.models.map(({ id }) => id));
        put(registry, "\0", clock.now(), [offer({ id: "earlier than all" })]);
      }
      assert.deepEqual(models, ids.map((id) => `model ${id}`).sort());
    }),
    { numRuns: 50 },
  );
});

Deno.test("a page of large announcements is cut to what an answer may hold", async () => {
  const { clock, registry, stream } = served();
  for (let i = 0; i < 100; i++) put(registry, `p${i}`, clock.now(), [offer()], 60_000);
  const sizes: number[] = [];
  for await (const answer of queryPages(stream, { type: "search" }, signal)) {
    assert(encodeAnswer(answer).length <= MAX_ANSWER_BYTES);
    sizes.push(answer.executors.length);
  }
  assert.deepEqual(sizes, Array.from({ length: 25 }, () => 4));
});

Deno.test("a page of models with many features is cut to what an answer may hold", async () => {
  const { clock, registry, stream } = served();
  const features = Array.from({ length: 32 }, (_, i) => `${i} `.padEnd(32, "é"));
  const models = Array.from(
    { length: 50 },
    (_, i) => offer({ id: `${i}`.padStart(250, "m"), features }),
  );
  put(registry, "p", clock.now(), models);
  let told = 0;
  for await (const answer of queryPages(stream, { type: "list_models" }, signal)) {
    assert(encodeAnswer(answer).length <= MAX_ANSWER_BYTES);
    assert.equal(answer.total, 50);
    told += answer.models.length;
  }
  assert.equal(told, 50);
});

Deno.test("a peer that asks more than its rate is told to wait, and no other", async () => {
  const { clock, server, stream } = served();
  const [other, far] = memoryStreams();
  void server.serve(far, "other");
  const ask = (of = stream, type: "search" | "list_models" = "search") =>
    queryRegistry(of, { type }, signal);
  for (let i = 0; i < QUERY_RATE.burst - 10; i++) await ask();
  await ask(stream, "list_models");
  await assert.rejects(
    ask(),
    (e) => code("rate_limited")(e) && (e as LloomError).retryAfterMs! > 0,
  );
  await ask(other);
  clock.advance(1000);
  for (let i = 0; i < QUERY_RATE.perSecond; i++) await ask();
  await assert.rejects(ask(), code("rate_limited"));
});

Deno.test("no query is answered while an answer waits for its reader, who is let go in time", async () => {
  const clock = new ManualClock();
  const registry = new Registry({}, { clock });
  const server = new RegistryServer({}, { registry, clock });
  const [near, far] = memoryStreams(1);
  const done = server.serve(far, "slow");
  for (let i = 0; i < 3; i++) near.send(encodeQuery({ type: "search" }));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(far.unread, 1);
  assert.equal(server.answer({ type: "statistics" }).type, "statistics");
  clock.advance(10_000);
  await done;
  await assert.rejects(near.next(), code("stream_broken"));
});

Deno.test("large answers are refused while too many wait unread, small ones are not", async () => {
  const clock = new ManualClock();
  const registry = new Registry({}, { clock });
  for (let i = 0; i < 4; i++) put(registry, `p${i}`, clock.now(), [offer()], 60_000);
  const server = new RegistryServer({ maxUnreadBytes: 600_000 }, { registry, clock });
  const connect = () => {
    // Full with its first message: an answer waits until it is read.
    const [near, far] = memoryStreams(1);
    void server.serve(far, "slow");
    return near;
  };
  const search = encodeQuery({ type: "search" });
  const unread = [connect(), connect()];
  for (const stream of unread) stream.send(search);
  await new Promise((resolve) => setTimeout(resolve, 0));
  const third = connect();
  await assert.rejects(queryRegistry(third, { type: "search" }, signal), code("overloaded"));
  assert.equal((await queryRegistry(third, { type: "statistics" }, signal)).type, "statistics");
  for (const stream of unread) await stream.next();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal((await queryRegistry(third, { type: "search" }, signal)).total, 4);
});

Deno.test("a query that cannot be read is answered with an error, and the stream goes on", async () => {
  const { stream } = served();
  const bad = [
    [new Uint8Array(1), "frame_malformed"],
    [new Uint8Array(20_000), "frame_too_large"],
    [encodeCbor({ t: "auction" }), "frame_unsupported"],
  ] as const;
  for (const [bytes, wanted] of bad) {
    stream.send(bytes);
    assert.match(new TextDecoder().decode(await stream.next()), new RegExp(wanted));
  }
  assert.equal((await queryRegistry(stream, { type: "search" }, signal)).total, 0);
});

Deno.test("a query's error reaches the caller by its code", async () => {
  const [stream, far] = memoryStreams();
  const error = { code: "rate_limited", message: "m", retryAfterMs: 5 } as const;
  far.send(encodeAnswer({ type: "error", error }));
  const failed = queryRegistry(stream, { type: "statistics" }, signal);
  await assert.rejects(failed, (e) => e instanceof LloomError && e.retryAfterMs === 5);
});

Deno.test("an answer to another question, no answer, and an abort are told apart", async () => {
  const ask = (answer: (far: ReturnType<typeof memoryStreams>[1]) => void, signal: AbortSignal) => {
    const [stream, far] = memoryStreams();
    answer(far);
    return queryRegistry(stream, { type: "statistics" }, signal);
  };
  const other = encodeAnswer({ type: "models", models: [], total: 0 });
  await assert.rejects(ask((far) => far.send(other), signal), code("protocol_violation"));
  await assert.rejects(ask((far) => far.send(new Uint8Array(1)), signal), code("frame_malformed"));
  await assert.rejects(ask((far) => far.close(), signal), code("stream_broken"));
  await assert.rejects(ask(() => {}, AbortSignal.abort()), code("aborted"));
  const controller = new AbortController();
  const waiting = ask(() => {}, controller.signal);
  controller.abort();
  await assert.rejects(waiting, code("aborted"));
});

Deno.test("pages that do not advance end in an error", async () => {
  const [stream, far] = memoryStreams(100);
  const answer = encodeAnswer({ type: "models", models: [], total: 9, next: "a" });
  for (let i = 0; i < 3; i++) far.send(answer);
  await assert.rejects(
    Array.fromAsync(queryPages(stream, { type: "list_models" }, signal)),
    code("protocol_violation"),
  );
});

Deno.test("a stream that neither asks nor reads is let go", async () => {
  const { clock, stream, done } = served();
  await queryRegistry(stream, { type: "search" }, signal);
  // It waits for the next query now.
  await new Promise((resolve) => setTimeout(resolve, 0));
  clock.advance(60_000);
  await done;
  await assert.rejects(stream.next(), code("stream_broken"));
});

Deno.test("a registry can omit executors but not invent them", async () => {
  const { clock, registry, stream, components } = served();
  const [alice, mallory] = [executor(), executor()];
  const timestamp = clock.now();
  const told = alice.announcement({ timestamp });
  registry.apply(await alice.sign(told), told);
  const { executors } = await queryRegistry(stream, { type: "search" }, signal);
  const [entry, ...rest] = await verifiedExecutors(executors, components);
  assert.deepEqual(entry?.announcement, told);
  assert.equal(rest.length, 0);

  const listed = async (...announced: Parameters<typeof mallory.sign>[0][]) =>
    await Promise.all(
      announced.map(async (a): Promise<ListedExecutor> => (
        { signed: await mallory.sign(a), lastSeenMsAgo: 0 }
      )),
    );
  const lies = await listed(
    told,
    mallory.announcement({ timestamp, peerId: alice.peerId }),
    mallory.announcement({ timestamp, executor: alice.address }),
    mallory.announcement({ timestamp, kind: "removal" }),
    mallory.announcement({ timestamp: timestamp - 300_001 }),
    mallory.announcement({ timestamp: timestamp + 30_001 }),
  );
  const broken = { signed: { ...lies[0]!.signed, body: new Uint8Array(9) }, lastSeenMsAgo: 0 };
  assert.deepEqual(await verifiedExecutors([...lies, broken], components), []);
  assert.equal(
    (await verifiedExecutors(await listed(mallory.announcement({ timestamp })), components)).length,
    1,
  );
});

Deno.test("a verifier that fails is not taken for a lying registry", async () => {
  const { clock, components } = served();
  const alice = executor();
  const signed = await alice.sign(alice.announcement({ timestamp: clock.now() }));
  const failing: Verifier = {
    ...verifier,
    verifyAnnouncement: () => Promise.reject(new LloomError("worker_crashed", "verify: crashed")),
  };
  await assert.rejects(
    verifiedExecutors([{ signed, lastSeenMsAgo: 0 }], { ...components, verifier: failing }),
    code("worker_crashed"),
  );
});

Deno.test("a page floods no verifier: few at once, again when it is busy, and the rest is kept", async () => {
  const { clock, components } = served();
  const listed = await Promise.all(Array.from({ length: 40 }, async (): Promise<ListedExecutor> => {
    const one = executor();
    return {
      signed: await one.sign(one.announcement({ timestamp: clock.now() })),
      lastSeenMsAgo: 0,
    };
  }));
  let [active, most, calls] = [0, 0, 0];
  const busy: Verifier = {
    ...verifier,
    verifyAnnouncement: async (...parts) => {
      most = Math.max(most, ++active);
      try {
        await Promise.resolve();
        // Every third call finds a full queue; the second last always fails.
        if (++calls % 3 === 0) throw new LloomError("overloaded", "verify: queue full");
        if (parts[1] === listed[38]!.signed.body) throw new LloomError("worker_crashed", "verify");
        return await verifier.verifyAnnouncement(...parts);
      } finally {
        active--;
      }
    },
  };
  const moving = setInterval(() => clock.advance(100), 1);
  const entries = await verifiedExecutors(listed, { ...components, verifier: busy });
  clearInterval(moving);
  assert.ok(most <= 16);
  assert.deepEqual(
    entries.map(({ signed }) => signed),
    listed.filter((_, i) => i !== 38).map(({ signed }) => signed),
  );
});

Deno.test("every query of the protocol has an answer", () => {
  const { server } = served();
  const queries: RegistryQuery[] = [
    { type: "list_models", page: { limit: 0 } },
    { type: "find_model", model: "__proto__" },
    { type: "executors", peerIds: [] },
    { type: "search", page: { after: "z" } },
    { type: "statistics" },
  ];
  for (const query of queries) assert.notEqual(server.answer(query).type, "error");
});
