/** Vectors as model servers write them: lists of numbers, or base64. @module */
import { isJsonObject } from "@lloom/core/protocol";
import type { Embedding } from "./backend.ts";
import { errorInBody } from "./backend_error.ts";
import { isCount, malformed } from "./chunk_reader.ts";

/** The largest that a vector can be: models have some thousand numbers. */
const MAX_DIMENSIONS = 1 << 15;
const FLOAT_BYTES = 4;

/** The vectors of one answer. */
export interface EmbeddingAnswer {
  /** In order of their inputs. */
  readonly embeddings: readonly Embedding[];
  /** Tokens of all inputs; absent where the server does not tell. */
  readonly promptTokens?: number;
}

/**
 * A server's answer to a request for vectors.
 * @param count how many it was asked for
 * @param secret what no error may quote
 * @throws {LloomError} `backend_malformed`, or what the server says
 */
export function readEmbeddings(body: unknown, count: number, secret: string): EmbeddingAnswer {
  if (!isJsonObject(body)) throw malformed("not an object");
  if (body.error !== undefined && body.error !== null) throw errorInBody(body, secret);
  const { data, usage } = body;
  if (!Array.isArray(data) || data.length !== count) throw malformed("not a vector for each input");
  const vectors: string[] = Array(count);
  for (const [position, entry] of data.entries()) {
    const { index = position, embedding } = isJsonObject(entry) ? entry : {};
    if (typeof index !== "number" || !(index in data) || index in vectors) {
      throw malformed("a vector of no input, or a second one");
    }
    vectors[index] = typeof embedding === "string" ? checked(embedding) : encoded(embedding);
  }
  const promptTokens = isJsonObject(usage) ? usage.prompt_tokens : undefined;
  return {
    embeddings: vectors.map((embedding, index) => ({ index, embedding })),
    ...(isCount(promptTokens) && { promptTokens }),
  };
}

/** A vector in base64, as it is. */
function checked(text: string): string {
  if (text.length > 2 * FLOAT_BYTES * MAX_DIMENSIONS) throw malformed("too long a vector");
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch (cause) {
    throw malformed("a vector that is not base64", cause);
  }
  if (bytes.length === 0 || bytes.length % FLOAT_BYTES !== 0) throw malformed("half a number");
  return text;
}

/** A list of numbers as base64 of 32-bit floats, little-endian. */
function encoded(numbers: unknown): string {
  const fits = Array.isArray(numbers) && numbers.length > 0 && numbers.length <= MAX_DIMENSIONS &&
    numbers.every((number) => Number.isFinite(number));
  if (!fits) throw malformed("a vector that is no list of numbers");
  const view = new DataView(new ArrayBuffer(FLOAT_BYTES * numbers.length));
  for (const [i, number] of numbers.entries()) view.setFloat32(FLOAT_BYTES * i, number, true);
  return new Uint8Array(view.buffer).toBase64();
}
