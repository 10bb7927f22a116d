/** What a batch asks: JSON or JSON lines, read and checked before anything is asked. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject, parseJsonText } from "@lloom/core/protocol";
import { UsageError } from "@lloom/host";
import { createHash } from "node:crypto";

/** Largest batch: it is held in memory, once as text and once as what it says. */
export const MAX_BATCH_BYTES: number = 128 << 20;

/** The only thing that rows in the form of OpenAI's batches may ask for. */
const CHAT_URL = "/v1/chat/completions";

/** What rows take that do not say otherwise. */
export interface BatchDefaults {
  /** The model; absent: each row names one. */
  readonly model?: string | undefined;
  /** The most tokens of each answer. */
  readonly maxTokens: number;
  /** Absent for the model's own. */
  readonly temperature?: number | undefined;
  /** Said first where a row is a bare prompt; absent for none. */
  readonly systemPrompt?: string | undefined;
}

/** One question of a batch. */
export interface BatchRow {
  /** Its place, from 0. */
  readonly index: number;
  /** The name that its author gave it; unique in the batch. */
  readonly customId?: string;
  /** Of the row as it was written: tells whether an answer from an earlier run is to this question. */
  readonly digest: string;
  /** The chat request. */
  readonly request: JsonObject;
}

/**
 * Reads a batch: a JSON list, or one JSON object a line. Each row is `{"prompt": …}`, a chat request
 * with `messages`, or a row of an OpenAI batch (`custom_id`, `method`, `url`, `body`).
 * @throws {UsageError} naming the first place where it is something else
 */
export function readBatch(text: string, defaults: BatchDefaults): readonly BatchRow[] {
  const values = text.trimStart().startsWith("[") ? readList(text) : readLines(text);
  const seen = new Map<string, string>();
  const rows = values.map(({ value, place }, index) => {
    const { customId, request } = readRow(value, defaults, place);
    const twin = customId === undefined ? undefined : seen.get(customId);
    if (twin !== undefined) refuse(place, `custom_id is that of ${twin}`);
    if (customId !== undefined) seen.set(customId, place);
    const digest = createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 32);
    return { index, ...(customId !== undefined && { customId }), digest, request };
  });
  if (rows.length === 0) throw new UsageError("read batch: it has no rows");
  return rows;
}

interface Placed {
  readonly value: unknown;
  readonly place: string;
}

function readList(text: string): readonly Placed[] {
  const list = parse(text, "the list");
  if (!Array.isArray(list)) throw new UsageError("read batch: it is no list");
  return list.map((value, i) => ({ value, place: `entry ${i + 1}` }));
}

function readLines(text: string): readonly Placed[] {
  return text.split("\n").flatMap((line, i) => {
    const place = `line ${i + 1}`;
    return line.trim() === "" ? [] : [{ value: parse(line, place), place }];
  });
}

function readRow(
  value: unknown,
  defaults: BatchDefaults,
  place: string,
): Pick<BatchRow, "customId" | "request"> {
  if (!isJsonObject(value)) refuse(place, "it must be an object");
  const { custom_id: customId, ...row } = value;
  if (customId !== undefined && (typeof customId !== "string" || customId === "")) {
    refuse(place, "custom_id must be text");
  }
  const request = withDefaults(bodyOf(row, defaults, place), defaults);
  if (typeof request.model !== "string") refuse(place, "it names no model, nor does --model");
  return { ...(customId !== undefined && { customId }), request };
}

function bodyOf(row: JsonObject, { systemPrompt }: BatchDefaults, place: string): JsonObject {
  if (isJsonObject(row.body)) {
    const { method = "POST", url = CHAT_URL, body, ...others } = row;
    const [other] = Object.keys(others);
    if (other !== undefined) refuse(place, "beside body stand custom_id, method and url alone");
    if (method !== "POST" || url !== CHAT_URL) refuse(place, `it must be POST ${CHAT_URL}`);
    if (!Array.isArray(body.messages)) refuse(place, "its body has no messages");
    return body;
  }
  if (Array.isArray(row.messages)) return row;
  const { prompt, ...others } = row;
  if (typeof prompt !== "string" || prompt === "") {
    refuse(place, "it must have prompt, messages, or body");
  }
  const system = systemPrompt === undefined ? [] : [{ role: "system", content: systemPrompt }];
  return { ...others, messages: [...system, { role: "user", content: prompt }] };
}

function withDefaults(
  body: JsonObject,
  { model, maxTokens, temperature }: BatchDefaults,
): JsonObject {
  const isLimited = body.max_tokens !== undefined || body.max_completion_tokens !== undefined;
  return {
    ...(model !== undefined && { model }),
    ...(temperature !== undefined && { temperature }),
    ...(!isLimited && { max_tokens: maxTokens }),
    ...body,
  };
}

function parse(text: string, place: string): unknown {
  try {
    return parseJsonText(text);
  } catch (error) {
    if (!(error instanceof LloomError)) throw error;
    refuse(place, "it is not JSON, or too deep");
  }
}

function refuse(place: string, problem: string): never {
  throw new UsageError(`read batch, ${place}: ${problem}`);
}
