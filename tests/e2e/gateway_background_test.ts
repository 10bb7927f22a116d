/** Responses in the background of a real gateway, which is killed meanwhile. */
import Anthropic from "@anthropic-ai/sdk";
import assert from "node:assert/strict";
import OpenAI from "openai";
import { kill, Network, PROCESS_TEST, readyOf } from "../support/network.ts";

Deno.test({
  ...PROCESS_TEST,
  name: "a background response that was acknowledged is made and told of after kill -9",
}, async () => {
  await using network = await Network.open();
  const gate = Promise.withResolvers<void>();
  const mock = network.mock({ tokens: 4, gate: gate.promise });
  await network.executor({ backends: [mock] });

  const told = Promise.withResolvers<{ id: string; status: string }>();
  await using listener = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      told.resolve(await request.json());
      return new Response();
    },
  );
  const start = async () => {
    const child = network.command(["gateway", "--port", "0", "--format", "json"]);
    const { url } = await readyOf(child);
    assert.ok(url);
    return { child, url };
  };
  const openai = (url: string) => new OpenAI({ apiKey: "none", baseURL: `${url}/v1` });

  const first = await start();
  const asked = mock.nextRequest();
  const { id, status } = await openai(first.url).responses.create(
    { model: "mock-model", input: "Hi", background: true },
    { headers: { "X-Lloom-Callback-Url": `http://127.0.0.1:${listener.addr.port}/` } },
  );
  assert.equal(status, "queued");
  await asked;
  kill(first.child, "SIGKILL");
  await first.child.ended;
  assert.equal(mock.requests.length, 1);

  gate.resolve();
  const second = await start();
  const { id: toldId, status: toldStatus } = await told.promise;
  assert.deepEqual([toldId, toldStatus], [id, "completed"]);
  const response = await openai(second.url).responses.retrieve(id);
  assert.equal(response.status, "completed");
  assert.equal(response.output_text.trim().split(" ").length, 4);
  assert.equal(mock.requests.length, 2);

  // Over the same network: the conversation goes on, and Anthropic's client is served too.
  const next = await openai(second.url).responses.create({
    model: "mock-model",
    input: "And?",
    previous_response_id: id,
  });
  assert.equal(next.status, "completed");
  const anthropic = new Anthropic({ apiKey: "none", baseURL: second.url });
  const message = await anthropic.messages.stream({
    model: "mock-model",
    max_tokens: 100,
    messages: [{ role: "user", content: "Hi" }],
  }).finalMessage();
  assert.equal(message.stop_reason, "end_turn");
  assert.equal(message.usage.output_tokens, 4);
});
