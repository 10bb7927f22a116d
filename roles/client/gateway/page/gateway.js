/**
 * The gateway's API as the page uses it: the models, and streamed answers.
 * @module
 */
import { GatewayError } from "./words.js";

/**
 * @typedef {object} Model an entry of `/v1/models`
 * @property {string} id
 * @property {{ prompt: string, completion: string, currency?: string }} pricing
 * @property {number} [context_length]
 * @property {readonly string[]} [features]
 * @property {{ total: number, available: number }} [executors]
 */

/**
 * @typedef {{ type: "executor", peerId: string, cached: boolean }
 *   | { type: "text", text: string }
 *   | { type: "reasoning", text: string }
 *   | { type: "seam", peerId: string, code: string }
 *   | { type: "usage", promptTokens: number, completionTokens: number, cost?: string, asset?: string }
 * } AnswerEvent what becomes known of an answer
 */

const SEAM = /^ lloom continued by (\S+) after (\S+)$/;

/** The gateway that this page came from. */
export class Gateway {
  /** @type {string} the API key; empty for none */
  key = "";

  /**
   * The models that answer in a conversation.
   * @returns {Promise<Model[]>}
   * @throws {GatewayError}
   */
  async models() {
    const { data } = await (await this.#fetch("/v1/models")).json();
    return data.filter(({ features }) => features === undefined || features.includes("chat"));
  }

  /**
   * An answer as it comes. A whole one ends; any other throws.
   * @param {object} request a chat request's body
   * @param {string} conversation what ties the requests of a conversation to each other
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<AnswerEvent>}
   * @throws {GatewayError}
   */
  async *ask(request, conversation, signal) {
    const response = await this.#fetch("/v1/chat/completions", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-lloom-conversation": conversation,
        "x-lloom-continue": "true",
      },
      body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    yield* readAnswer(response);
  }

  /** @param {string} path @param {RequestInit} [init] */
  async #fetch(path, init = {}) {
    const headers = new Headers(init.headers);
    if (this.key !== "") headers.set("authorization", `Bearer ${this.key}`);
    let response;
    try {
      response = await fetch(path, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new GatewayError("", { status: 0 });
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

/** What a refusal says. One that is not of the gateway's form comes from something in between. */
async function errorOf(response) {
  const { status } = response;
  const body = await response.json().catch(() => undefined);
  return new GatewayError(body?.error?.message ?? "", { status, code: body?.error?.code });
}

/**
 * An answer's events.
 * @param {Response} response
 * @returns {AsyncGenerator<AnswerEvent>}
 * @throws {GatewayError} if the answer is not whole
 */
export async function* readAnswer(response) {
  yield* executorOf(response.headers);
  for await (const { data, comment } of readEvents(response.body)) {
    const [, peerId, code] = SEAM.exec(comment ?? "") ?? [];
    if (peerId !== undefined) {
      yield { type: "seam", peerId, code };
      continue;
    }
    if (data === undefined) continue;
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error !== undefined) {
      throw new GatewayError(chunk.error.message ?? "", { code: chunk.error.code });
    }
    yield* chunkEvents(chunk);
  }
  throw new GatewayError("its end did not come");
}

function* executorOf(headers) {
  const peerId = headers.get("x-lloom-executor");
  const cached = headers.get("x-lloom-cache") === "hit";
  if (peerId !== null) yield { type: "executor", peerId, cached };
}

function* chunkEvents({ choices = [], usage, lloom }) {
  const delta = choices[0]?.delta ?? {};
  const reasoning = delta.reasoning_content ?? delta.reasoning;
  if (reasoning) yield { type: "reasoning", text: reasoning };
  const text = delta.content ?? delta.refusal;
  if (text) yield { type: "text", text };
  if (lloom?.executor !== undefined) {
    // The head was sent before anybody answered, if that took long.
    yield { type: "executor", peerId: lloom.executor, cached: lloom.cached === true };
  }
  if (usage) {
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
    yield { type: "usage", promptTokens, completionTokens, cost: lloom?.cost, asset: lloom?.asset };
  }
}

/**
 * Server-sent events: the data of each, and the comments between them.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{ data?: string, comment?: string }>}
 */
export async function* readEvents(body) {
  let data = [];
  for await (const line of readLines(body)) {
    if (line.startsWith(":")) {
      yield { comment: line.slice(1) };
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    } else if (line === "" && data.length > 0) {
      yield { data: data.join("\n") };
      data = [];
    }
  }
}

async function* readLines(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (let rest = "";;) {
    const { done, value } = await read(reader);
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    // Browsers say so little of a broken connection, and each in its own words.
    if (error instanceof TypeError) throw new GatewayError("the connection to the gateway is gone");
    throw error;
  }
}
