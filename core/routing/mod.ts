/** Which executor a request goes to, and which comes next if it fails. @module */
export * from "./candidate.ts";
export * from "./filter.ts";
export * from "./observations.ts";
export * from "./score.ts";
export * from "./select.ts";
export * from "./sticky_routes.ts";
