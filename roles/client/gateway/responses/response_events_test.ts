import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import fc from "fast-check";
import type OpenAI from "openai";
import { deltaOf, endOf } from "../../../../tests/support/fake_engine.ts";
import type { AnswerEnd } from "../answer.ts";
import { errorForm } from "../error_forms.ts";
import { emptyResponse, ResponseEvents } from "./response_events.ts";
import { readResponseRequest } from "./response_request.ts";
import type { ResponseEvent, ResponseObject } from "./response_types.ts";

const HEX = "0".repeat(32);

function emptyOf(): ResponseObject {
  const { echo } = readResponseRequest({ model: "m", input: "Hi" });
  return emptyResponse(HEX, 1, echo, "in_progress");
}

function end(more: Partial<AnswerEnd> = {}): AnswerEnd {
  const piece = endOf(more);
  assert.ok(piece.type === "end");
  return piece.end;
}

function play(
  lines: readonly JsonObject[],
  { summarize = false, ending = end() } = {},
): { events: ResponseEvent[]; response: ResponseObject } {
  const events = new ResponseEvents(emptyOf(), summarize);
  const all = [
    ...events.begin(),
    ...lines.flatMap((line) => events.line(line)),
    ...events.end(ending, {}, 2),
  ];
  return { events: all, response: events.response };
}

const CALL = deltaOf({
  tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: "{}" } }],
});

Deno.test("events come in OpenAI's order, numbered without gaps", () => {
  const lines = [deltaOf({ reasoning: "Hm." }), deltaOf({ content: "Hello" }), CALL];
  const { events } = play(lines);
  assert.deepEqual(events.map(({ sequence_number: n }) => n), events.map((_, i) => i));
  assert.deepEqual(events.map(({ type }) => type.replace("response.", "")), [
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "reasoning_text.delta",
    "reasoning_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "completed",
  ]);
});

Deno.test("every event is one that the official types know", () => {
  type Official = OpenAI.Responses.ResponseStreamEvent;
  const lines = [deltaOf({ reasoning: "Hm." }), deltaOf({ content: "Hello" }), CALL];
  const summary = play([deltaOf({ reasoning: "Hm." }), deltaOf({ refusal: "No." })], {
    summarize: true,
  });
  for (const event of [...play(lines).events, ...summary.events]) {
    // The wire has no `output_text`: the client adds it.
    if ("response" in event) continue;
    const official: Official = event;
    assert.ok(official.type);
  }
});

Deno.test("thoughts are summaries where the client asked for them", () => {
  const { response } = play([deltaOf({ reasoning: "Hm." })], { summarize: true });
  assert.deepEqual(response.output, [{
    id: `rs_${HEX}_0`,
    type: "reasoning",
    status: "completed",
    summary: [{ type: "summary_text", text: "Hm." }],
  }]);
});

Deno.test("an answer that its limit cut is incomplete, and so is what was cut", () => {
  const { events, response } = play([deltaOf({ content: "Hel" })], {
    ending: end({ finish: "length" }),
  });
  assert.equal(events.at(-1)?.type, "response.incomplete");
  assert.deepEqual(response.incomplete_details, { reason: "max_output_tokens" });
  assert.deepEqual(response.output.map(({ status }) => status), ["incomplete"]);
});

Deno.test("log-probabilities go with the text of their tokens", () => {
  const logprobs = { content: [{ token: "A", logprob: -1, bytes: [65], top_logprobs: [] }] };
  const line = { choices: [{ index: 0, delta: { content: "A" }, logprobs }] };
  const { response } = play([line]);
  const [item] = response.output;
  assert.ok(item?.type === "message" && item.content[0]?.type === "output_text");
  assert.deepEqual(item.content[0].logprobs, logprobs.content);
});

Deno.test("a broken answer ends with an error and keeps what came", () => {
  const events = new ResponseEvents(emptyOf(), false);
  events.begin();
  events.line(deltaOf({ content: "Hel" }));
  const broken = new LloomError("stream_broken", "read answer: the connection closed");
  const last = events.fail(errorForm(broken));
  assert.deepEqual(last.map(({ type }) => type), ["error", "response.failed"]);
  const { status, error, output } = events.response;
  assert.equal(status, "failed");
  assert.equal(error?.code, "server_error");
  assert.deepEqual(output.map(({ status }) => status), ["incomplete"]);
});

/** Checks that items and parts open and close in turn, and that deltas add up to what is done. */
function assertNested(events: readonly ResponseEvent[], response: ResponseObject): void {
  let open = -1;
  let text = "";
  for (const event of events) {
    if (event.type === "response.output_item.added") {
      assert.equal(open, -1);
      open = event.output_index;
      text = "";
    } else if (event.type === "response.output_item.done") {
      assert.equal(open, event.output_index);
      assert.deepEqual(event.item, response.output[open]);
      assert.ok(JSON.stringify(event.item).includes(JSON.stringify(text)));
      open = -1;
    } else if ("output_index" in event) {
      assert.equal(open, event.output_index);
      if ("delta" in event) text += event.delta;
    }
  }
  assert.equal(open, -1);
}

Deno.test("however lines are cut, events are well nested and one response results", () => {
  const words = fc.array(
    fc.tuple(fc.constantFrom("content", "reasoning", "refusal"), fc.string()),
    { maxLength: 8 },
  );
  fc.assert(fc.property(words, fc.boolean(), (words, summarize) => {
    const whole = words.map(([field, text]) => deltaOf({ [field]: text }));
    const cut = words.flatMap(([field, text]) =>
      text.split("").map((unit) => deltaOf({ [field]: unit }))
    );
    const { events, response } = play(cut, { summarize });
    assert.deepEqual(response, play(whole, { summarize }).response);
    assertNested(events, response);
  }));
});
