import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import type { Strategy } from "@lloom/core/routing";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Answer, AnswerEnd, AnswerPiece, Ask, Engine } from "./answer.ts";
import { cacheKey, cacheSettings, CachingEngine } from "./caching_engine.ts";
import { MAX_KEPT_ANSWER_CHARS } from "./limits.ts";
import type { Wishes } from "./wishes.ts";

const END: AnswerEnd = {
  ...{ finish: "stop", promptTokens: 3, completionTokens: 2, estimated: false },
  ...{ cost: "0.000131", asset: "USDC", cached: false },
  parts: [{ peerId: "peerA", address: "0xA", requestHash: "0x1" }],
};
const QUESTION = { model: "m", messages: [{ role: "user", content: "Hi" }], temperature: 0 };

function lines(...contents: readonly string[]): AnswerPiece {
  const values = contents.map((content) => ({ choices: [{ index: 0, delta: { content } }] }));
  const read = values.map((value) => ({ text: JSON.stringify(value), value }));
  return { type: "lines", lines: read };
}

/** Answers every question with the same pieces, and counts. */
class CountingEngine implements Engine {
  asked = 0;

  constructor(readonly pieces: readonly AnswerPiece[], readonly error?: LloomError) {}

  ask({ request }: Ask): Promise<Answer> {
    this.asked++;
    const { pieces, error } = this;
    return Promise.resolve({
      ...{ id: String(this.asked), model: String(request["model"]), createdS: 1 },
      answering: Promise.resolve({
        ...{ peerId: "peerA", address: "0xA", backend: "ollama", cached: false },
        ...{ inboundPrice: "5", outboundPrice: "7" },
      }),
      async *pieces() {
        yield* pieces;
        if (error !== undefined) throw error;
      },
    });
  }
}

class MapStore {
  readonly values = new Map<string, Uint8Array>();
  get(key: Uint8Array): Uint8Array | undefined {
    return this.values.get(key.toHex());
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.values.set(key.toHex(), value);
  }
}

const WHOLE = [lines("Gr", "üß"), lines("e\u2028"), { type: "end", end: END }] as const;

function engines(pieces: readonly AnswerPiece[] = WHOLE, error?: LloomError) {
  const inner = new CountingEngine(pieces, error);
  const store = new MapStore();
  const cache = new CachingEngine(inner, { store, settings: {} });
  const ask = async (request: JsonObject, wishes: Partial<Wishes> = {}) => {
    const { signal } = new AbortController();
    return await cache.ask({ api: "chat", request, wishes: { cache: "use", ...wishes }, signal });
  };
  return { inner, store, ask };
}

async function texts(answer: Answer): Promise<string[]> {
  const pieces = await Array.fromAsync(answer.pieces());
  return pieces.flatMap((piece) => piece.type === "lines" ? piece.lines.map((l) => l.text) : []);
}

Deno.test("an identical deterministic request gets the same lines, for nothing", async () => {
  const { inner, ask } = engines();
  const first = await texts(await ask(QUESTION));
  const again = await ask(QUESTION);
  assert.equal(inner.asked, 1);
  const { cached, peerId, inboundPrice, outboundPrice } = await again.answering;
  assert.deepEqual({ cached, peerId }, { cached: true, peerId: "peerA" });
  assert.deepEqual([inboundPrice, outboundPrice], ["0", "0"]);
  assert.match(again.id, /^[0-9a-f]{32}$/);
  const pieces = await Array.fromAsync(again.pieces());
  assert.deepEqual(pieces[0], { type: "lines", lines: WHOLE.slice(0, 2).flatMap(linesOf) });
  const { cost: _cost, asset: _asset, ...end } = END;
  assert.deepEqual(pieces[1], { type: "end", end: { ...end, cached: true } });
  assert.deepEqual(await texts(await ask(QUESTION)), first);
});

function linesOf(piece: AnswerPiece) {
  return piece.type === "lines" ? piece.lines : [];
}

Deno.test("only requests that can have one answer are cached, and not against their wishes", async () => {
  const executor = ["16Uiu2HAmQ7vXbQ4qTzK8c1y6e5sY3fQqHn9tW2pLxRzVbNcMdEfG"];
  const cases: [JsonObject, Partial<Wishes>, boolean][] = [
    [QUESTION, {}, true],
    [{ model: "m", input: "Hi" }, {}, true],
    [{ ...QUESTION, temperature: undefined }, {}, false],
    [{ ...QUESTION, temperature: 0.1 }, {}, false],
    [{ ...QUESTION, temperature: "0" }, {}, false],
    [QUESTION, { cache: "bypass" }, false],
    [QUESTION, { only: executor }, false],
    [QUESTION, { exclude: executor }, false],
    [QUESTION, { strategy: "fastest" }, true],
  ];
  for (const [request, wishes, isCached] of cases) {
    const { inner, ask } = engines();
    for (let i = 0; i < 2; i++) await texts(await ask(request, wishes));
    assert.equal(inner.asked, isCached ? 1 : 2, JSON.stringify([request, wishes]));
  }
});

Deno.test("what is not whole, of several executors, or too long is not kept", async () => {
  const end = (change: Partial<AnswerEnd>) =>
    ({ type: "end", end: { ...END, ...change } }) as const;
  const [part] = END.parts as [AnswerEnd["parts"][0]];
  const gone = new LloomError("stream_broken", "read: gone");
  for (
    const [pieces, error] of [
      [[lines("Hal")], gone],
      [[lines("Hal"), end({ finish: "content_filter" })]],
      [[lines("a"), end({ parts: [part, part] })]],
      [[lines("a".repeat(MAX_KEPT_ANSWER_CHARS)), lines("b"), end({})]],
    ] as [AnswerPiece[], LloomError?][]
  ) {
    const { inner, ask, store } = engines(pieces, error);
    for (let i = 0; i < 2; i++) {
      const read = texts(await ask(QUESTION));
      if (error === undefined) await read;
      else await assert.rejects(read, { code: "stream_broken" });
    }
    assert.equal(inner.asked, 2);
    assert.equal(store.values.size, 0);
  }
});

Deno.test("what some API cannot read, or what says nothing, is not kept for all", async () => {
  const said = (...choices: readonly JsonObject[]): AnswerPiece => {
    const value = { choices };
    return { type: "lines", lines: [{ text: JSON.stringify(value), value }] };
  };
  const end = { type: "end", end: END } as const;
  const flood = Array.from({ length: 300 }, (_, index) => ({ index, delta: { content: "a" } }));
  const unreadable = [
    [],
    [said({ index: 0, delta: { role: "assistant", content: "" } })],
    [lines("a"), said(...flood)],
    [lines("a"), said({ index: 0, delta: { tool_calls: "none" } })],
    [lines("a"), said({ index: 0, delta: { tool_calls: [{ index: 0, function: {} }] } })],
  ];
  for (const pieces of unreadable) {
    const { ask, store } = engines([...pieces, end]);
    await texts(await ask(QUESTION));
    assert.equal(store.values.size, 0, JSON.stringify(pieces).slice(0, 200));
  }
  const { ask, store } = engines([said({ index: 0, text: "a" }), end]);
  await texts(await ask({ model: "m", prompt: "Hi", temperature: 0 }));
  assert.equal(store.values.size, 1);
});

Deno.test("whom the owner excludes later gives no kept answers any more", () => {
  const settings = (exclude: readonly string[], strategy: Strategy = { type: "balanced" }) =>
    cacheKey(
      QUESTION,
      cacheSettings({ modelAliases: {}, defaultModel: "m" }, { exclude, strategy }),
    )
      .toHex();
  assert.equal(settings(["a"]), settings(["a"], { type: "fastest" }));
  assert.notEqual(settings(["a"]), settings([]));
  assert.notEqual(settings([]), settings([], { type: "specific", names: ["b"] }));
});

Deno.test("a store that fails, or holds something else, fails no request", async () => {
  const { ask, store, inner } = engines();
  store.put = () => {
    throw new Error("disk full");
  };
  assert.equal((await texts(await ask(QUESTION))).length, 3);
  for (const text of ["", "{", "{}", '{"model":"m","end":{}}\nno line']) {
    store.get = () => new TextEncoder().encode(text);
    assert.equal((await texts(await ask(QUESTION))).length, 3, text);
  }
  assert.equal(inner.asked, 5);
});

Deno.test("the order of a request's fields does not matter, and everything else does", () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).reverse();
    return Object.fromEntries(entries.map(([name, field]) => [name, shuffled(field)]));
  };
  // As the gateway reads it: text to JSON and back.
  const object = fc.dictionary(fc.string(), fc.jsonValue()).map((value) =>
    JSON.parse(JSON.stringify(value)) as JsonObject
  );
  const hex = (request: JsonObject, settings: JsonObject = {}) =>
    cacheKey(request, settings).toHex();
  fc.assert(fc.property(object, object, (a, b) => {
    assert.equal(hex(shuffled(a) as JsonObject), hex(a));
    const isSame = canonical(a) === canonical(b);
    assert.equal(hex(a) === hex(b), isSame);
    assert.equal(hex(QUESTION, a) === hex(QUESTION, b), isSame);
  }));
  assert.notEqual(hex({ a: [1, 2] }), hex({ a: [2, 1] }));
});

/** Independent of the code under test: sorted paths and their values. */
function canonical(value: unknown, path: readonly string[] = []): string {
  if (typeof value !== "object" || value === null) return JSON.stringify([path, value]) + "\n";
  const kind = Array.isArray(value) ? "list" : "object";
  const inside = Object.entries(value).map(([name, field]) => canonical(field, [...path, name]));
  return [JSON.stringify([path, kind]), ...inside.sort()].join("\n");
}
