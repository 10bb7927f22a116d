import assert from "node:assert/strict";
import fc from "fast-check";
import { readAnswer, readEvents } from "./gateway.js";

/** A body in chunks that end at these places, in bytes. */
function bodyOf(text: string, cuts: readonly number[] = []): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const ends = [...cuts.map((cut) => cut % bytes.length), bytes.length].sort((a, b) => a - b);
  return ReadableStream.from(ends.map((end, i) => bytes.slice(ends[i - 1] ?? 0, end)));
}

async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(events);
}

const chunk = (delta: object) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`;
const USAGE = {
  choices: [],
  usage: { prompt_tokens: 3, completion_tokens: 2 },
  lloom: { executor: "peerB", cost: "0.000131", asset: "USDC", cached: false },
};
const ANSWER = [
  ": keep-alive\n\n",
  chunk({ role: "assistant", content: "" }),
  chunk({ reasoning_content: "Hm." }),
  chunk({ content: "Grüße, 🌍" }),
  ": lloom continued by peerB after stream_broken\n\n",
  chunk({ content: " & <b>Ende</b>" }),
  `data: ${JSON.stringify(USAGE)}\n\n`,
  "data: [DONE]\n\n",
].join("");
const EVENTS = [
  { type: "executor", peerId: "peerA", cached: false },
  { type: "reasoning", text: "Hm." },
  { type: "text", text: "Grüße, 🌍" },
  { type: "seam", peerId: "peerB", code: "stream_broken" },
  { type: "text", text: " & <b>Ende</b>" },
  { type: "executor", peerId: "peerB", cached: false },
  { type: "usage", promptTokens: 3, completionTokens: 2, cost: "0.000131", asset: "USDC" },
];
const HEADERS = { "x-lloom-executor": "peerA", "x-lloom-cache": "miss" };

Deno.test("an answer is the same however its bytes are cut, with either kind of line end", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { maxLength: 20 }), fc.boolean(), async (cuts, crlf) => {
      const text = crlf ? ANSWER.replaceAll("\n", "\r\n") : ANSWER;
      const response = new Response(bodyOf(text, cuts), { headers: HEADERS });
      assert.deepEqual(await collect(readAnswer(response)), EVENTS);
    }),
    { numRuns: 50 },
  ));

Deno.test("an answer without its end mark is no answer", async () => {
  const cut = new Response(bodyOf(ANSWER.replace("data: [DONE]\n\n", "")));
  await assert.rejects(collect(readAnswer(cut)), { name: "GatewayError" });
});

Deno.test("an error in the stream ends it, in the gateway's words", async () => {
  const error = { error: { message: "ask: gone", code: "stream_broken" } };
  const text = chunk({ content: "a" }) + `data: ${JSON.stringify(error)}\n\n`;
  await assert.rejects(collect(readAnswer(new Response(bodyOf(text)))), {
    name: "GatewayError",
    message: "ask: gone",
    code: "stream_broken",
  });
});

Deno.test("events may span lines, and have no space after the colon", async () => {
  const events = await collect(readEvents(bodyOf("data:a\ndata: b\n\n:c\n\nid: 1\n\ndata: cut")));
  assert.deepEqual(events, [{ data: "a\nb" }, { comment: "c" }]);
});
