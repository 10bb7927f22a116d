/** Whom to tell that a background response is over. @module */
import { LloomError } from "@lloom/core/errors";
import { MAX_CALLBACK_URL_CHARS } from "../limits.ts";

/**
 * The address in the header `X-Lloom-Callback-Url`; undefined if there is none. Whoever holds a key of
 * the gateway may have it post a response to any address that the gateway reaches.
 * @throws {LloomError} `request_invalid` for what is no address of HTTP, or carries a password
 */
export function readCallbackUrl(headers: Headers): string | undefined {
  const text = headers.get("x-lloom-callback-url")?.trim();
  if (text === undefined || text === "") return undefined;
  const url = text.length <= MAX_CALLBACK_URL_CHARS ? URL.parse(text) : null;
  const fits = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password === "";
  if (fits) return url.href;
  throw new LloomError(
    "request_invalid",
    "read request: header X-Lloom-Callback-Url must be an address of http or https",
  );
}
