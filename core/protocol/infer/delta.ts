/**
 * `delta`, executor → client: a piece of the answer. Its bytes are whole lines of JSON, each the
 * `choices` of one OpenAI `chat.completion.chunk`; how lines are grouped into frames means nothing.
 * @module
 */
import { encodeCbor, type Fields } from "../cbor.ts";
import { MAX_RESPONSE_FRAME_BYTES } from "../limits.ts";

/** A piece of an answer. */
export interface DeltaFrame {
  /** Tells this message from others. */
  readonly type: "delta";
  /** One or more lines, each ended by a line feed. */
  readonly lines: Uint8Array;
}

/** A `delta` frame's bytes. */
export function encodeDelta({ lines }: Omit<DeltaFrame, "type">): Uint8Array {
  return encodeCbor({ t: "delta", lines });
}

/** The fields of a `delta` frame. @throws {LloomError} `frame_malformed` */
export function readDelta(fields: Fields): DeltaFrame {
  return { type: "delta", lines: fields.bytes("lines", 1, MAX_RESPONSE_FRAME_BYTES) };
}
