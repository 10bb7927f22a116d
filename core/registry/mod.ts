/** Who serves what, at what price, and how one learns of it. @module */
export * from "./accept_announcement.ts";
export * from "./answer_query.ts";
export * from "./match_offer.ts";
export * from "./registry.ts";
export * from "./registry_client.ts";
export * from "./registry_server.ts";
