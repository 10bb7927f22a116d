/** Answers of OpenAI's APIs that are not streamed. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import type { Answer, AnswerEnd, AnswerPiece } from "./answer.ts";
import type { ChunkNames } from "./chunk_stream.ts";
import { lloomField, usageField } from "./lloom_field.ts";
import { ByIndex, type MergedChoice, type MergedText } from "./merged_choice.ts";
import type { WholeEncoder } from "./respond.ts";

/** The object of `/v1/chat/completions` and `/v1/completions`. */
export class WholeChoices implements WholeEncoder {
  readonly #answer: Answer;
  readonly #names: ChunkNames;
  readonly #choices: ByIndex<MergedChoice | MergedText>;
  #end: AnswerEnd | undefined;

  /** @param choice makes one that nothing was added to yet */
  constructor(answer: Answer, names: ChunkNames, choice: () => MergedChoice | MergedText) {
    this.#answer = answer;
    this.#names = names;
    this.#choices = new ByIndex(choice);
  }

  /** Takes a piece in. @throws {LloomError} `protocol_violation` */
  piece(piece: AnswerPiece): void {
    if (piece.type === "end") this.#end = piece.end;
    if (piece.type !== "lines") return;
    for (const { value } of piece.lines) this.#choices.add(value["choices"]);
  }

  /** The object. */
  result(): JsonObject {
    const { id, createdS, model } = this.#answer;
    const { idPrefix, whole } = this.#names;
    const end = ended(this.#end);
    return {
      id: `${idPrefix}${id}`,
      object: whole,
      created: createdS,
      model,
      choices: this.#choices.inOrder().map(([index, choice]) => choice.result(index)),
      usage: usageField(end),
      lloom: lloomField(end),
    };
  }
}

/** The object of `/v1/embeddings`. */
export class WholeEmbeddings implements WholeEncoder {
  readonly #answer: Answer;
  readonly #inputs: number;
  readonly #asBase64: boolean;
  readonly #vectors = new Map<number, string>();
  #end: AnswerEnd | undefined;

  /**
   * @param inputs how many vectors there must be
   * @param asBase64 whether the client wants them as they come: float32, little-endian, in base64
   */
  constructor(answer: Answer, inputs: number, asBase64: boolean) {
    this.#answer = answer;
    this.#inputs = inputs;
    this.#asBase64 = asBase64;
  }

  /** Takes a piece in. @throws {LloomError} `protocol_violation` */
  piece(piece: AnswerPiece): void {
    if (piece.type === "end") this.#end = piece.end;
    if (piece.type !== "lines") return;
    for (const { value } of piece.lines) {
      const { data } = value;
      if (!Array.isArray(data)) throw malformed("a line without vectors");
      for (const vector of data) this.#add(vector);
    }
  }

  /** The object. @throws {LloomError} `protocol_violation` if a vector is missing */
  result(): JsonObject {
    const end = ended(this.#end);
    if (this.#vectors.size !== this.#inputs) throw malformed("a vector is missing");
    const data = Array.from({ length: this.#inputs }, (_, index) => ({
      object: "embedding",
      index,
      embedding: this.#asBase64 ? this.#vectors.get(index) : floats(this.#vectors.get(index)!),
    }));
    const usage = { prompt_tokens: end.promptTokens, total_tokens: end.promptTokens };
    return { object: "list", data, model: this.#answer.model, usage, lloom: lloomField(end) };
  }

  #add(vector: unknown): void {
    const { index, embedding }: JsonObject = isJsonObject(vector) ? vector : {};
    const isOurs = typeof index === "number" && Number.isInteger(index) && index >= 0 &&
      index < this.#inputs && !this.#vectors.has(index);
    if (!isOurs || typeof embedding !== "string") throw malformed("a vector that is none");
    this.#vectors.set(index, embedding);
  }
}

/** Numbers from float32, little-endian, in base64. */
function floats(base64: string): readonly number[] {
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.fromBase64(base64);
  } catch (cause) {
    throw malformed("a vector that is not base64", cause);
  }
  if (bytes.length % 4 !== 0) throw malformed("a vector with half a number");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function malformed(what: string, cause?: unknown): LloomError {
  return new LloomError("protocol_violation", `read answer: ${what}`, { cause });
}

function ended(end: AnswerEnd | undefined): AnswerEnd {
  if (end === undefined) throw new TypeError("read answer: it has not ended");
  return end;
}
