import { LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import {
  deltaOf,
  endOf,
  FakeEngine,
  type FakeScript,
  linesOf,
} from "../../../tests/support/fake_engine.ts";
import type { AnswerPiece, Ask } from "./answer.ts";
import { respondStreamed, type RespondTimes, respondWhole, sseError } from "./respond.ts";

const ASK: Ask = {
  api: "chat",
  request: { model: "m" },
  wishes: { cache: "use" },
  signal: new AbortController().signal,
};
const encoder = {
  piece: (piece: AnswerPiece) => piece.type === "lines" ? `<${piece.lines.length}>` : "<end>",
  broken: (error: unknown) => sseError(error, "openai"),
};

function streamed(
  script: FakeScript,
  { times = {}, signal = ASK.signal }: { times?: RespondTimes; signal?: AbortSignal } = {},
) {
  const engine = new FakeEngine(script);
  return { engine, response: respondStreamed(engine, { ...ASK, signal }, () => encoder, times) };
}

Deno.test("a stream has one chunk for each piece, and headers that name its executor", async () => {
  const { response } = streamed({
    steps: [linesOf(deltaOf({}), deltaOf({})), linesOf(deltaOf({})), endOf()],
  });
  const { status, headers, body } = await response;
  assert.equal(status, 200);
  assert.match(headers.get("content-type")!, /^text\/event-stream/);
  assert.equal(headers.get("x-lloom-executor"), "16Uiu2HAmFakeExecutor");
  assert.equal(headers.get("x-lloom-request-id")!.length, 32);
  const chunks = await Array.fromAsync(body!.pipeThrough(new TextDecoderStream()));
  assert.deepEqual(chunks, ["<2>", "<1>", "<end>"]);
});

Deno.test("a failure before the first piece is thrown, for its own status", async () => {
  const { response } = streamed({ before: [new LloomError("overloaded", "ask: full")] });
  await assert.rejects(response, { code: "overloaded" });
});

Deno.test("after the head, a failure is an event, and nothing follows it", async () => {
  const { response } = streamed({
    steps: [linesOf(deltaOf({})), new LloomError("stream_broken", "read answer: cut"), endOf()],
  });
  const text = await (await response).text();
  const [head, event] = text.split("data: ");
  assert.equal(head, "<1>");
  assert.equal(JSON.parse(event!).error.code, "stream_broken");
});

Deno.test("a head is not held back for long, and a quiet stream shows signs of life", async () => {
  const found = Promise.withResolvers<void>();
  const { response } = streamed({ before: [found.promise] }, {
    times: { headWaitMs: 1, keepAliveMs: 1 },
  });
  const { body, headers } = await response;
  assert.equal(headers.get("x-lloom-executor"), null);
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, ": keep-alive\n\n");
  found.resolve();
  let last = "";
  for (let next; !(next = await reader.read()).done;) last = next.value;
  assert.equal(last, "<end>");
});

Deno.test("leaving the stream cancels the request, also before anybody answers", async () => {
  const { engine, response } = streamed({ before: [new Promise(() => {})] }, {
    times: { headWaitMs: 1 },
  });
  await (await response).body!.cancel();
  await engine.cancelled;
});

Deno.test("a client that hangs up before the head ends the wait for it", async () => {
  const client = new AbortController();
  const { engine, response } = streamed({ before: [new Promise(() => {})] }, {
    signal: client.signal,
  });
  client.abort();
  await engine.cancelled;
  await assert.rejects(response, { code: "aborted" });
});

Deno.test("what the client does not read is not asked for", async () => {
  let asked = 0;
  const steps = Array.from({ length: 100 }, () => linesOf(deltaOf({})));
  const engine = new FakeEngine({ steps });
  const response = await respondStreamed(engine, ASK, () => ({
    ...encoder,
    piece: () => `${asked++}`,
  }));
  const reader = response.body!.getReader();
  await reader.read();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(asked, 1);
  await reader.cancel();
});

Deno.test("a whole answer is one object, and a broken one its error", async () => {
  const collect = () => {
    let pieces = 0;
    return { piece: () => void pieces++, result: () => ({ pieces }) };
  };
  const whole = new FakeEngine({ steps: [linesOf(deltaOf({})), endOf()] });
  assert.deepEqual(await (await respondWhole(whole, ASK, collect)).json(), { pieces: 2 });
  const broken = new FakeEngine({ steps: [new LloomError("stream_broken", "read answer: cut")] });
  await assert.rejects(respondWhole(broken, ASK, collect), { code: "stream_broken" });
});
