/** What executors are asked. @module */
import type { Hash } from "@lloom/core/bytes";
import { type JsonObject, type ModelRequest, parseModelRequest } from "@lloom/core/protocol";

/** A request as it is sent. */
export interface Question {
  /** Its exact bytes. */
  readonly body: Uint8Array;
  /** What they say. */
  readonly request: ModelRequest;
  /** The hash of the broken request whose answer it continues. */
  readonly continues?: Hash;
}

/**
 * A request from its JSON, or from its exact bytes.
 * @throws {LloomError} `request_invalid`, `frame_malformed`, `frame_too_large`
 */
export function readQuestion(request: JsonObject | Uint8Array): Question {
  const body = request instanceof Uint8Array
    ? request
    : new TextEncoder().encode(JSON.stringify(request));
  return { body, request: parseModelRequest(body) };
}
