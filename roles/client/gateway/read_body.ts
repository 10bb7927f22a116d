/** Bodies of requests, as JSON. @module */
import { LloomError } from "@lloom/core/errors";
import {
  isJsonObject,
  type JsonObject,
  MAX_BODY_BYTES,
  MAX_JSON_VALUES,
  parseJson,
} from "@lloom/core/protocol";

/**
 * The JSON object of a request.
 * @throws {LloomError} `request_invalid` if it is none, `frame_malformed`, `frame_too_large`
 */
export async function readBody(request: Request): Promise<JsonObject> {
  const bytes = new Uint8Array(await request.arrayBuffer());
  const body = parseJson(bytes, MAX_BODY_BYTES, MAX_JSON_VALUES);
  if (isJsonObject(body)) return body;
  throw new LloomError("request_invalid", "read request: the body must be a JSON object");
}
