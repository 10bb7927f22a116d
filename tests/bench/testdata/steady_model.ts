/**
 * A model server whose models write at an even pace, of which each is named after its tokens a second,
 * and one that writes all at once. One clock drives all answers, so that a thousand of them cost
 * little beside what is measured; every token says which one it is, so that a missing one shows.
 */
import type { JsonObject } from "@lloom/core/protocol";
import { MODELS, tokenText } from "../models.ts";

const TICK_MS = 5;
const encoder = new TextEncoder();

/** An answer under way. */
interface Running {
  readonly tokens: number;
  readonly perMs: number;
  readonly startMs: number;
  readonly controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  sent: number;
}

const running = new Set<Running>();

function event(value: JsonObject): Uint8Array<ArrayBuffer> {
  const head = { id: "chatcmpl-steady", object: "chat.completion.chunk", created: 1_700_000_000 };
  return encoder.encode(`data: ${JSON.stringify({ ...head, model: "steady", ...value })}\n\n`);
}

function choice(delta: JsonObject, finish: string | null): JsonObject {
  return { choices: [{ index: 0, delta, finish_reason: finish }] };
}

const tokenEvents: Uint8Array<ArrayBuffer>[] = [];
const tokenEvent = (i: number): Uint8Array<ArrayBuffer> =>
  tokenEvents[i] ??= event(choice({ content: tokenText(i) }, null));

/** Writes what is due. */
function advance(answer: Running): void {
  const due = Math.floor((performance.now() - answer.startMs) * answer.perMs);
  const upTo = Math.min(answer.tokens, due);
  const { controller, tokens } = answer;
  while (answer.sent < upTo) controller.enqueue(tokenEvent(answer.sent++));
  if (answer.sent < tokens) return;
  const usage = { prompt_tokens: 8, completion_tokens: tokens, total_tokens: tokens + 8 };
  controller.enqueue(event(choice({}, "length")));
  controller.enqueue(event({ choices: [], usage }));
  controller.enqueue(encoder.encode("data: [DONE]\n\n"));
  controller.close();
  running.delete(answer);
}

function stream(tokens: number, perMs: number): Response {
  let answer: Running;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      answer = { tokens, perMs, startMs: performance.now(), controller, sent: 0 };
      running.add(answer);
      advance(answer);
    },
    cancel: () => void running.delete(answer),
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

async function whole(tokens: number, perMs: number): Promise<Response> {
  if (perMs < Infinity) await new Promise((resolve) => setTimeout(resolve, tokens / perMs));
  const content = Array.from({ length: tokens }, (_, i) => tokenText(i)).join("");
  return Response.json({
    id: "chatcmpl-steady",
    object: "chat.completion",
    model: "steady",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "length" }],
    usage: { prompt_tokens: 8, completion_tokens: tokens, total_tokens: tokens + 8 },
  });
}

setInterval(() => {
  for (const answer of running) advance(answer);
}, TICK_MS);

const { addr } = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/v1/models") {
    return Response.json({ object: "list", data: Object.keys(MODELS).map((id) => ({ id })) });
  }
  if (pathname !== "/v1/chat/completions") return new Response(null, { status: 404 });
  const { model, max_tokens: tokens, stream: streamed } = await request.json();
  const perMs = MODELS[model]! / 1000;
  return streamed ? stream(tokens, perMs) : await whole(tokens, perMs);
});
// The line that a parent process waits for.
console.log(addr.port);
