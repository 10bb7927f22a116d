/** What every `ModelBackend` must do. Each implementation's tests run this suite. @module */
import { LloomError } from "@lloom/core/errors";
import {
  type ChatRequest,
  isJsonObject,
  type JsonObject,
  readModelRequest,
} from "@lloom/core/protocol";
import assert from "node:assert/strict";
import type { AnswerPart, BackendEvent, ModelBackend } from "../backends/backend.ts";

/** A backend made ready for one test. */
export interface BackendFixture {
  readonly backend: ModelBackend;
  /** A model that it offers, whose answer to any prompt has more than two tokens. */
  readonly model: string;
  readonly stop?: () => Promise<void>;
}

/** A chat request from parsed JSON. */
export function readChat(raw: JsonObject): ChatRequest {
  const request = readModelRequest(raw);
  assert.ok(request.kind === "chat");
  return request;
}

/** A chat request with one message. */
export function chatRequest(model: string, fields: Record<string, unknown> = {}): ChatRequest {
  const messages = [{ role: "user", content: "What is the weather like?" }];
  return readChat({ model, messages, ...fields });
}

/** All events of one answer. */
export async function collect(events: AsyncIterable<BackendEvent>): Promise<BackendEvent[]> {
  const all: BackendEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** All parts of an answer, as they become lines. */
export function partsOf(events: readonly BackendEvent[]): AnswerPart[] {
  return events.flatMap((event) => event.type === "part" ? [event.part] : []);
}

/** All entries of all `choices`. */
export function choicesOf(events: readonly BackendEvent[]): Record<string, unknown>[] {
  return partsOf(events).flatMap((part) => "choices" in part ? part.choices : [])
    .filter((choice): choice is Record<string, unknown> => isJsonObject(choice));
}

/** All text of an answer, without reasoning. */
export function contentOf(events: readonly BackendEvent[]): string {
  return choicesOf(events).map(({ delta, text }) => isJsonObject(delta) ? delta.content : text)
    .filter((content) => typeof content === "string").join("");
}

/** The reasons to end, in order. */
export function reasonsOf(events: readonly BackendEvent[]): unknown[] {
  return choicesOf(events).map((choice) => choice.finish_reason).filter((reason) =>
    reason !== null && reason !== undefined
  );
}

const never = (): AbortSignal => new AbortController().signal;
const cancelled = (): LloomError => new LloomError("aborted", "test: cancelled");

/** Registers the suite's tests. */
export function testBackend(
  name: string,
  start: () => BackendFixture | Promise<BackendFixture>,
): void {
  const test = (what: string, run: (fixture: BackendFixture) => Promise<void>): void =>
    Deno.test(`${name}: ${what}`, async () => {
      const fixture = await start();
      try {
        await run(fixture);
      } finally {
        await fixture.stop?.();
      }
    });

  test("lists the model, with distinct names and positive context lengths", async (fixture) => {
    const models = await fixture.backend.models(never());
    const ids = models.map(({ id }) => id);
    assert.ok(ids.includes(fixture.model));
    assert.equal(new Set(ids).size, ids.length);
    for (const { contextLength } of models) {
      assert.ok(contextLength === undefined || contextLength > 0);
    }
  });

  test("an answer has text, one reason to end, and at most one usage, the last", async (fixture) => {
    const { backend, model } = fixture;
    const events = await collect(backend.answer(model, chatRequest(model), never()));
    assert.notEqual(contentOf(events), "");
    assert.equal(reasonsOf(events).length, 1);
    const usages = events.filter((event) => event.type === "usage");
    assert.ok(usages.length <= 1);
    if (usages.length === 1) {
      assert.equal(events.at(-1), usages[0]);
      assert.ok(usages[0]!.usage.promptTokens > 0 && usages[0]!.usage.completionTokens > 0);
    }
  });

  test("maxTokens binds, whatever the raw request says, and the reason says so", async (fixture) => {
    const { backend, model } = fixture;
    for (const fields of [{}, { max_tokens: 50 }, { max_completion_tokens: 50 }]) {
      const request = { ...chatRequest(model, fields), maxTokens: 2 };
      const events = await collect(backend.answer(model, request, never()));
      assert.deepEqual(reasonsOf(events), ["length"]);
      const usage = events.find((event) => event.type === "usage");
      if (usage !== undefined) assert.ok(usage.usage.completionTokens <= 2);
    }
  });

  test("a signal that is aborted already stops everything", async (fixture) => {
    const { backend, model } = fixture;
    const signal = AbortSignal.abort(cancelled());
    await assert.rejects(collect(backend.answer(model, chatRequest(model), signal)), {
      code: "aborted",
    });
    assert.deepEqual(
      await collect(backend.answer(model, chatRequest(model), never())).then(reasonsOf),
      [
        "stop",
      ],
    );
  });

  test("an abort between two events ends the answer with the signal's reason", async (fixture) => {
    const { backend, model } = fixture;
    const controller = new AbortController();
    let events = 0;
    await assert.rejects(async () => {
      for await (const _ of backend.answer(model, chatRequest(model), controller.signal)) {
        events++;
        controller.abort(cancelled());
      }
    }, { code: "aborted" });
    assert.equal(events, 1);
  });

  test("a caller who leaves early leaves nothing behind", async (fixture) => {
    const { backend, model } = fixture;
    for await (const _ of backend.answer(model, chatRequest(model), never())) break;
    const events = await collect(backend.answer(model, chatRequest(model), never()));
    assert.deepEqual(reasonsOf(events), ["stop"]);
  });

  test("answers at the same time do not mix", async (fixture) => {
    const { backend, model } = fixture;
    // Likeliest tokens only, so that equal questions have equal answers.
    const ask = () =>
      collect(backend.answer(model, chatRequest(model, { temperature: 0 }), never()));
    const alone = contentOf(await ask());
    const together = await Promise.all([ask(), ask(), ask()]);
    assert.deepEqual(together.map(contentOf), [alone, alone, alone]);
  });

  test("a completion goes on with each prompt in turn, and counts its answers through", async (fixture) => {
    const { backend, model } = fixture;
    const raw = { model, prompt: ["Hello", "Hello"], max_tokens: 3, temperature: 0 };
    const events = await collect(backend.answer(model, readModelRequest(raw), never()));
    const textOf = (wanted: number) =>
      choicesOf(events).filter(({ index }) => index === wanted).map(({ text }) => text).join("");
    assert.notEqual(textOf(0), "");
    assert.equal(textOf(1), textOf(0));
    assert.deepEqual(reasonsOf(events), ["length", "length"]);
    const order = choicesOf(events).map(({ index }) => Number(index));
    assert.deepEqual(order, order.toSorted());
    const usage = events.find((event) => event.type === "usage");
    if (usage !== undefined) assert.equal(usage.usage.completionTokens, 6);
  });

  test("an answer that is begun is continued where the model can, and else refused", async (fixture) => {
    const { backend, model } = fixture;
    const features = (await backend.models(never())).find(({ id }) => id === model)?.features;
    const ask = (...messages: JsonObject[]) => {
      const begun = chatRequest(model, { temperature: 0 });
      const raw = { ...begun.raw, messages: [...begun.messages, ...messages] };
      return collect(backend.answer(model, readChat(raw), never()));
    };
    const whole = contentOf(await ask());
    const prefix = whole.slice(0, whole.indexOf(" ", whole.length / 2));
    const continued = ask({ role: "assistant", content: prefix, prefix: true });
    if (features?.includes("continue")) {
      assert.equal(prefix + contentOf(await continued), whole);
    } else {
      await assert.rejects(continued, { code: "feature_unsupported" });
    }
  });

  test("counting grows with the text, and an empty answer has no tokens", async (fixture) => {
    const { backend, model } = fixture;
    const count = (text: string) => backend.count(model, chatRequest(model), text, never());
    const [none, some, more] = [
      await count(""),
      await count("one two"),
      await count(
        "one two three four five six",
      ),
    ];
    assert.equal(none.completionTokens, 0);
    assert.ok(some.completionTokens > 0);
    assert.ok(more.completionTokens > some.completionTokens);
    assert.ok(none.promptTokens > 0);
    assert.equal(some.promptTokens, none.promptTokens);
    assert.notEqual(some.countedBy, "backend");
  });
}
