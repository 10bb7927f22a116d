/** Whether an answer has the vectors that were asked for. @module */
import { LloomError } from "@lloom/core/errors";
import { type EmbeddingRequest, isJsonObject } from "@lloom/core/protocol";
import { readLines } from "./answer_lines.ts";

const FLOAT_BYTES = 4;

/**
 * Holds an executor to a vector for each input, all of one length. Its receipt proves only that it
 * said what it said; who fails here is replaced, or at least not asked again soon.
 */
export class VectorCheck {
  readonly #inputs: number;
  readonly #seen = new Set<number>();
  #length: number | undefined;

  /** For an answer of which nothing came yet. */
  constructor({ inputs }: EmbeddingRequest) {
    this.#inputs = inputs.length;
  }

  /** Takes whole lines. @throws {LloomError} `protocol_violation`, `frame_malformed` */
  take(lines: Uint8Array): void {
    for (const { value: { data } } of readLines(lines)) {
      if (!Array.isArray(data)) fail("a line without vectors");
      for (const vector of data) this.#take(vector);
    }
  }

  /** Nothing more comes. @throws {LloomError} `protocol_violation` if a vector is missing */
  end(): void {
    if (this.#seen.size !== this.#inputs) fail("a vector is missing");
  }

  #take(vector: unknown): void {
    const { index, embedding } = isJsonObject(vector) ? vector : {};
    const isAsked = typeof index === "number" && Number.isInteger(index) && index >= 0 &&
      index < this.#inputs && !this.#seen.has(index);
    if (!isAsked) fail("a vector of no input, or a second one");
    const length = bytesOf(embedding);
    if (length === 0 || length % FLOAT_BYTES !== 0) fail("a vector that is no list of numbers");
    if (length !== (this.#length ??= length)) fail("vectors of different lengths");
    this.#seen.add(index);
  }
}

/** How many bytes a text in base64 stands for; none if it is not one. */
function bytesOf(embedding: unknown): number {
  if (typeof embedding !== "string") return 0;
  try {
    return Uint8Array.fromBase64(embedding).length;
  } catch (error) {
    if (error instanceof SyntaxError) return 0;
    throw error;
  }
}

function fail(what: string): never {
  throw new LloomError("protocol_violation", `read answer: ${what}`);
}
