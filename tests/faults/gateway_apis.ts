/**
 * What the gateway's APIs say of one answer, read from the bytes themselves: the official clients hide
 * how a stream ended. @module
 */
import type { JsonObject } from "@lloom/core/protocol";

/** One API. */
export interface AskedApi {
  readonly path: string;
  /** The request's body, without `stream`. */
  readonly body: JsonObject;
  /** The text that an event of a stream adds; empty if none. */
  readonly textOf: (event: JsonObject) => string;
  /** Whether a stream's last event says that the answer is whole. */
  readonly isWhole: (data: string) => boolean;
  /** The text of an answer that was not streamed. */
  readonly wholeText: (answer: JsonObject) => string;
}

/** What came of a request. */
export interface Outcome {
  /** What came of the answer. */
  readonly text: string;
  /** Whether the API said that this is all of it. */
  readonly isWhole: boolean;
  /** Lloom's code of the error that it said instead; undefined without one. */
  readonly code: string | undefined;
  /** How often another executor continued. */
  readonly seams: number;
  /** The requests that the answer is made of, where it tells them. */
  readonly requests: readonly { readonly requestHash: string; readonly continues?: string }[];
}

type Any = Record<string, unknown>;
const at = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce((inner, key) => (inner as Any | undefined | null)?.[key], value);
const text = (value: unknown): string => typeof value === "string" ? value : "";
const typeOf = (data: string): unknown => data === "[DONE]" ? data : JSON.parse(data).type;

/** APIs by name. @param model the model to ask */
export function askedApis(model: string): Readonly<Record<string, AskedApi>> {
  const messages = [{ role: "user", content: "Count." }];
  return {
    chat: {
      path: "/v1/chat/completions",
      body: { model, messages, stream_options: { include_usage: true } },
      textOf: (event) => text(at(event, "choices", 0, "delta", "content")),
      isWhole: (data) => data === "[DONE]",
      wholeText: (answer) => text(at(answer, "choices", 0, "message", "content")),
    },
    responses: {
      path: "/v1/responses",
      body: { model, input: "Count.", store: false },
      textOf: ({ type, delta }) => type === "response.output_text.delta" ? text(delta) : "",
      isWhole: (data) => typeOf(data) === "response.completed",
      wholeText: (answer) => text(at(answer, "output", 0, "content", 0, "text")),
    },
    messages: {
      path: "/v1/messages",
      body: { model, messages, max_tokens: 1000 },
      textOf: ({ type, delta }) => type === "content_block_delta" ? text(at(delta, "text")) : "",
      isWhole: (data) => typeOf(data) === "message_stop",
      wholeText: (answer) => text(at(answer, "content", 0, "text")),
    },
  };
}

/** Asks, and reads all that comes. @param onText told of each piece of text @throws where the connection breaks */
export async function ask(
  url: string,
  api: AskedApi,
  stream: boolean,
  headers: Readonly<Record<string, string>>,
  onText: () => void,
): Promise<Outcome> {
  const { stream_options: options, ...body } = api.body;
  const response = await fetch(`${url}${api.path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({
      ...body,
      stream,
      ...(stream && options ? { stream_options: options } : {}),
    }),
  });
  if (response.status === 200 && stream) return await readStream(response, api, onText);
  const answer = await response.json();
  if (response.status !== 200) {
    return { ...NOTHING, code: text(at(answer, "error", "lloom", "code")) };
  }
  onText();
  return { ...NOTHING, text: api.wholeText(answer), isWhole: true, requests: requestsOf(answer) };
}

const NOTHING: Outcome = { text: "", isWhole: false, code: undefined, seams: 0, requests: [] };

async function readStream(response: Response, api: AskedApi, onText: () => void): Promise<Outcome> {
  let outcome = NOTHING;
  let buffer = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = `${buffer}${part}`.split("\n\n");
    buffer = events.pop()!;
    for (const event of events) {
      if (event.startsWith(": lloom continued by ")) {
        outcome = { ...outcome, seams: outcome.seams + 1 };
      }
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data === undefined) continue;
      outcome = after(outcome, data, api);
      onText();
    }
  }
  return outcome;
}

/** What is known after one more event. An answer that said its end, or an error, says no other. */
function after(before: Outcome, data: string, api: AskedApi): Outcome {
  if (before.isWhole) throw new Error(`read stream: an event after its end: ${data}`);
  if (api.isWhole(data)) return { ...before, isWhole: true, ...told(data) };
  const event: JsonObject = JSON.parse(data);
  const code = at(event, "error", "lloom", "code") ?? at(event, "response", "lloom", "code");
  return {
    ...before,
    text: before.text + api.textOf(event),
    ...(typeof code === "string" && { code }),
    ...told(data),
  };
}

function told(data: string): Partial<Outcome> {
  const requests = data === "[DONE]" ? [] : requestsOf(JSON.parse(data));
  return requests.length > 0 ? { requests } : {};
}

/** `lloom.requests`, wherever an API has it. */
function requestsOf(answer: unknown): Outcome["requests"] {
  const found = at(answer, "lloom", "requests") ?? at(answer, "response", "lloom", "requests");
  return Array.isArray(found) ? found : [];
}
