/** About how many tokens a request has, before anybody counted them. @module */
import { isJsonObject, type JsonObject, PROMPT_TOKEN_BYTES } from "@lloom/core/protocol";

/** Tokens of an image, in many models; its bytes say nothing of them. */
const IMAGE_TOKENS = 576;
/** What a chat template adds to each message. */
const MESSAGE_TOKENS = 4;

/**
 * About how many tokens the prompt of a chat request has, tools included. The executor's count, which
 * comes with the answer, is the one that is paid.
 */
export function estimatePromptTokens(chat: JsonObject): number {
  const messages = Array.isArray(chat.messages) ? chat.messages : [];
  const tools = chat.tools === undefined ? "" : JSON.stringify(chat.tools);
  const size = sizeOf([messages, tools]);
  return Math.ceil(size.bytes / PROMPT_TOKEN_BYTES) + IMAGE_TOKENS * size.images +
    MESSAGE_TOKENS * messages.length;
}

const utf8 = new TextEncoder();

/** All texts in a value, and images. */
function sizeOf(value: unknown): { readonly bytes: number; readonly images: number } {
  if (typeof value === "string") return { bytes: utf8.encode(value).length, images: 0 };
  if (isJsonObject(value) && value.type === "image_url") return { bytes: 0, images: 1 };
  if (typeof value !== "object" || value === null) return { bytes: 0, images: 0 };
  let bytes = 0, images = 0;
  for (const inner of Object.values(value)) {
    const size = sizeOf(inner);
    bytes += size.bytes;
    images += size.images;
  }
  return { bytes, images };
}
