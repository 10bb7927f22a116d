/** Chat completions over HTTP, as a careful caller asks for them: of a model server, or of a gateway. @module */
import type { JsonObject } from "@lloom/core/protocol";
import { SseParser } from "@lloom/workers/inference";
import assert from "node:assert/strict";
import type { Ask } from "./rounds.ts";

/** Where requests go. */
export interface HttpPlace {
  /** Without a final slash. */
  readonly url: string;
  /** Sent besides the type of the body. @default none */
  readonly headers?: Readonly<Record<string, string>>;
}

async function post({ url, headers }: HttpPlace, body: JsonObject): Promise<Response> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`ask: ${response.status} ${await response.text()}`);
  return response;
}

/** Reads every event as JSON, and calls back with the text of each. @throws unless the end mark comes */
export async function streamText(
  place: HttpPlace,
  question: JsonObject,
  onText: (text: string) => void,
): Promise<void> {
  const response = await post(place, {
    ...question,
    stream: true,
    stream_options: { include_usage: true },
  });
  const parser = new SseParser(1 << 20);
  let done = false;
  for await (const bytes of response.body!) {
    for (const { data } of parser.push(bytes)) {
      if (data === "[DONE]") {
        done = true;
        continue;
      }
      const { error, choices } = JSON.parse(data);
      if (error !== undefined) throw new Error(`read answer: ${error.message}`);
      const text = choices[0]?.delta.content;
      if (text) onText(text);
    }
  }
  assert.ok(done, "an answer ended without its end mark");
}

/** Reads the answer as it comes. */
export function askStreamed(place: HttpPlace, question: JsonObject): Ask {
  return async (onFirst) => {
    let tokens = 0;
    await streamText(place, question, () => {
      onFirst();
      tokens++;
    });
    assert.equal(tokens, question["max_tokens"]);
  };
}

/** Takes the answer as a whole. */
export function askWhole(place: HttpPlace, question: JsonObject): Ask {
  return async (onFirst) => {
    const answer = await (await post(place, question)).json();
    onFirst();
    assert.equal(answer.usage.completion_tokens, question["max_tokens"]);
  };
}
