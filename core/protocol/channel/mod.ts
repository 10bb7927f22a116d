/** `/lloom/channel/1.0.0`: closing a channel at once, with its executor's consent. @module */
export * from "./close.ts";
export * from "./consent.ts";
