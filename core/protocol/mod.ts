/** What Lloom nodes say to each other: identifiers, limits, framing, and one file per message. @module */
export * from "./answer_text.ts";
export * from "./features.ts";
export * from "./json.ts";
export * from "./limits.ts";
export * from "./model_request.ts";
export * from "./trailer.ts";
export * from "./announcement.ts";
export * from "./cbor.ts";
export * from "./commitments.ts";
export * from "./channel/mod.ts";
export * from "./infer/mod.ts";
export * from "./payments.ts";
export * from "./registry/mod.ts";
export * from "./text.ts";
export * from "./framing.ts";
export * from "./ids.ts";
