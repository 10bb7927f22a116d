/** OpenAI's APIs that pass through: chat completions, completions, embeddings. @module */
import type { JsonObject } from "@lloom/core/protocol";
import { Hono } from "hono";
import type { Answer, ApiName, Ask, Engine } from "./answer.ts";
import { flagField, mustBe, objectField } from "./body_fields.ts";
import { CHAT_NAMES, type ChunkNames, ChunkStream, COMPLETION_NAMES } from "./chunk_stream.ts";
import { MergedChoice, MergedText } from "./merged_choice.ts";
import { readBody } from "./read_body.ts";
import { respondStreamed, respondWhole } from "./respond.ts";
import { WholeChoices, WholeEmbeddings } from "./whole_answer.ts";
import { readWishes } from "./wishes.ts";

/**
 * Fields that are for the gateway, or about the client: no executor needs them, and some would tell
 * it who asks.
 */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  "stream",
  "stream_options",
  "encoding_format",
  "provider",
  "user",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "metadata",
  "store",
  "service_tier",
]);

/** A request, read. */
interface Question {
  readonly body: JsonObject;
  readonly ask: Ask;
}

/** The routes of `/v1/chat/completions`, `/v1/completions` and `/v1/embeddings`. */
export function openaiRoutes(engine: Engine): Hono {
  const routes = new Hono();
  routes.post("/v1/chat/completions", async ({ req }) => {
    const question = await read(req.raw, "chat", "messages");
    return await completion(engine, question, CHAT_NAMES, () => new MergedChoice());
  });
  routes.post("/v1/completions", async ({ req }) => {
    const question = await read(req.raw, "completions", "prompt");
    return await completion(engine, question, COMPLETION_NAMES, () => new MergedText());
  });
  routes.post("/v1/embeddings", async ({ req }) => {
    const { body, ask } = await read(req.raw, "embeddings", "input");
    const format = body["encoding_format"] ?? "float";
    if (format !== "float" && format !== "base64") mustBe("encoding_format", "float or base64");
    const inputs = inputsOf(body["input"]);
    const encoder = (answer: Answer) => new WholeEmbeddings(answer, inputs, format === "base64");
    return await respondWhole(engine, ask, encoder);
  });
  return routes;
}

async function completion(
  engine: Engine,
  { body, ask }: Question,
  names: ChunkNames,
  choice: () => MergedChoice | MergedText,
): Promise<Response> {
  const includeUsage = wantsUsage(body);
  return flagField(body["stream"], "stream", false)
    ? await respondStreamed(engine, ask, (answer) => new ChunkStream(answer, names, includeUsage))
    : await respondWhole(engine, ask, (answer) => new WholeChoices(answer, names, choice));
}

/** @param subject the field that makes a request one of this API */
async function read(request: Request, api: ApiName, subject: string): Promise<Question> {
  const body = await readBody(request);
  if (body[subject] === undefined) mustBe(subject, "given");
  const fields = Object.entries(body).filter(([name]) => !OWN_FIELDS.has(name));
  const wishes = readWishes(request.headers, body["provider"], body["prompt_cache_key"]);
  const ask = { api, request: Object.fromEntries(fields), wishes, signal: request.signal };
  return { body, ask };
}

function wantsUsage({ stream_options: options }: JsonObject): boolean {
  if (options === undefined || options === null) return false;
  const { include_usage: includeUsage } = objectField(options, "stream_options");
  return flagField(includeUsage, "stream_options.include_usage", false);
}

/** How many vectors are asked for: a list of numbers is one input, of tokens. */
function inputsOf(input: unknown): number {
  return Array.isArray(input) && typeof input[0] !== "number" ? input.length : 1;
}
