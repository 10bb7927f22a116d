/** What Lloom nodes say to each other: identifiers, limits, framing, and one file per message. @module */
export * from "./chat_request.ts";
export * from "./json.ts";
export * from "./limits.ts";
export * from "./trailer.ts";
