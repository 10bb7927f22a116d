import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { ANSWERING, endOf, FakeEngine, sayingSteps } from "../../../tests/support/fake_engine.ts";
import { readBatch } from "./batch_input.ts";
import { askRow } from "./batch_row.ts";

const [ROW] = readBatch(
  JSON.stringify({
    custom_id: "a",
    body: {
      model: "m",
      messages: [{ role: "user", content: "hi" }],
      stream: true,
      stream_options: { include_usage: true },
      provider: { ignore: ["0x" + "ab".repeat(20)] },
    },
  }),
  { maxTokens: 5 },
);
const { signal } = new AbortController();

Deno.test("a row is asked whole, as its provider preferences say, and answered as OpenAI's batches are", async () => {
  const steps = [...sayingSteps("Hel", "lo").slice(0, -1), endOf({ cost: "0.1", asset: "ETH" })];
  const engine = new FakeEngine({ steps });
  const { response, lloom, ...row } = await askRow(engine, ROW!, signal);
  assert.deepEqual(row, { index: 0, custom_id: "a", error: null });
  const { choices, usage, object, lloom: inBody } = response!.body;
  assert.equal(object, "chat.completion");
  assert.equal(inBody, undefined);
  assert.deepEqual(choices, [{
    index: 0,
    message: { role: "assistant", content: "Hello" },
    logprobs: null,
    finish_reason: "stop",
  }]);
  assert.deepEqual(usage, { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 });
  const { row: digest, executor, cost, asset } = lloom;
  assert.deepEqual([digest, executor, cost, asset], [
    ROW!.digest,
    ANSWERING.peerId,
    "0.1",
    "ETH",
  ]);
  const [{ request, wishes }] = engine.asks as [typeof engine.asks[0]];
  assert.deepEqual(request, {
    model: "m",
    max_tokens: 5,
    messages: [{ role: "user", content: "hi" }],
  });
  assert.deepEqual(wishes.exclude, ["0x" + "ab".repeat(20)]);
});

Deno.test("a failure is a row, also where the answer breaks; what concerns all rows stops the batch", async () => {
  for (const code of ["request_invalid", "model_unavailable", "receipt_invalid"] as const) {
    const error = new LloomError(code, "ask: it failed");
    for (const script of [{ refusal: error }, { before: [error] }, { steps: [error] }]) {
      const row = await askRow(new FakeEngine(script), ROW!, signal);
      assert.deepEqual(row, {
        index: 0,
        custom_id: "a",
        response: null,
        error: { code, message: "ask: it failed" },
        lloom: { row: ROW!.digest },
      });
    }
  }
  for (const code of ["budget_exceeded", "insufficient_funds", "internal", "aborted"] as const) {
    const refusal = new LloomError(code, "ask: it failed");
    await assert.rejects(askRow(new FakeEngine({ refusal }), ROW!, signal), { code });
  }
});

Deno.test("a row that is interrupted is no row, whatever it failed with", async () => {
  const error = new LloomError("stream_broken", "ask: it failed");
  await assert.rejects(askRow(new FakeEngine({ steps: [error] }), ROW!, AbortSignal.abort()), {
    name: "LloomError",
  });
});
