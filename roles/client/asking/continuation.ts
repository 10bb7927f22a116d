/** Which broken answers another executor may continue, and what it is asked then. @module */
import type { Hash } from "@lloom/core/bytes";
import type { ErrorCode, LloomError } from "@lloom/core/errors";
import {
  type ChatRequest,
  isJsonObject,
  type JsonObject,
  type ModelRequest,
} from "@lloom/core/protocol";
import { type AnswerLine, readLines } from "./answer_lines.ts";
import { type Question, readQuestion } from "./question.ts";

/** What of a broken answer was delivered. */
export interface Delivered {
  /** The text of all its parts. */
  readonly text: string;
  /** Tokens of that, exact or estimated. */
  readonly tokens: number;
  /** The request of the last part. */
  readonly requestHash: Hash;
}

/** Besides those of the model server: reasons for which an honest executor breaks off. */
const HONEST_BREAKS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "stream_broken",
  "shutting_down",
  "timeout",
  "worker_crashed",
]);

/** Whether an executor that broke off so may be followed by another: what a cheat said may not. */
export function isHonestBreak({ code }: LloomError): boolean {
  return HONEST_BREAKS.has(code) || code.startsWith("backend_");
}

const isAbsent = (value: unknown) => value === undefined || value === null;
const isUsed = (value: unknown) => Array.isArray(value) && value.length > 0;

/** Whether a request asks for one plain text: anything else has a form that a seam may break. */
export function asksForText(request: ModelRequest): request is ChatRequest {
  if (request.kind !== "chat" || request.n !== 1) return false;
  const { tools, functions, response_format: format, logprobs, modalities, audio } = request.raw;
  return !isUsed(tools) && !isUsed(functions) && logprobs !== true && isAbsent(audio) &&
    (isAbsent(format) || (isJsonObject(format) && format.type === "text")) &&
    (isAbsent(modalities) ||
      (Array.isArray(modalities) && modalities.every((one) => one === "text")));
}

/**
 * The text in whole lines of an answer; undefined if they hold anything else that the model said, or
 * the answer's end.
 * @throws {LloomError} as {@linkcode readLines}
 */
export function plainText(lines: Uint8Array): string | undefined {
  let text = "";
  for (const line of readLines(lines)) {
    const said = textOfLine(line);
    if (said === undefined) return undefined;
    text += said;
  }
  return text;
}

function textOfLine({ value: { choices } }: AnswerLine): string | undefined {
  if (!Array.isArray(choices)) return undefined;
  let text = "";
  for (const choice of choices) {
    if (!isJsonObject(choice) || (choice.index ?? 0) !== 0 || !isAbsent(choice.finish_reason)) {
      return undefined;
    }
    for (const [field, value] of Object.entries(isJsonObject(choice.delta) ? choice.delta : {})) {
      if (field === "role" || isAbsent(value) || value === "" || isEmptyList(value)) continue;
      if (field !== "content" || typeof value !== "string") return undefined;
      text += value;
    }
  }
  return text;
}

const isEmptyList = (value: unknown) => Array.isArray(value) && value.length === 0;

/** Lines without those that come before a model speaks, such as the one that names its role. */
export function withoutPreamble(lines: Uint8Array): Uint8Array {
  const all = [...readLines(lines)];
  const first = all.findIndex((line) => textOfLine(line) !== "");
  return first < 0
    ? new Uint8Array(0)
    : new TextEncoder().encode(all.slice(first).map(({ text }) => `${text}\n`).join(""));
}

/**
 * What another executor is asked: the same conversation, with the text delivered as the beginning of
 * the answer, and a limit on tokens lowered by those delivered.
 * @returns undefined where that limit is reached
 */
export function continuationOf(
  { raw, messages, continues }: ChatRequest,
  { text, tokens, requestHash }: Delivered,
): Question | undefined {
  const limits: Record<string, number> = {};
  for (const field of ["max_tokens", "max_completion_tokens"]) {
    const limit = raw[field];
    if (typeof limit !== "number") continue;
    if (limit <= tokens) return undefined;
    limits[field] = limit - tokens;
  }
  const body = {
    ...raw,
    ...limits,
    messages: text === "" ? messages : begun(messages, continues, text),
    continues: requestHash,
  };
  return { ...readQuestion(body), continues: requestHash };
}

/** The conversation with the answer begun. @param continues whether its last message begins it already */
function begun(
  messages: readonly JsonObject[],
  continues: boolean,
  text: string,
): readonly JsonObject[] {
  const last = messages.at(-1);
  const asked = continues ? messages.slice(0, -1) : messages;
  const beginning = continues ? String(last?.content) : "";
  return [...asked, { role: "assistant", content: beginning + text, prefix: true }];
}
