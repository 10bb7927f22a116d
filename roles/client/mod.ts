/**
 * A client of the Lloom network: `deno run -A jsr:@lloom/client --demo`, or as a library.
 * @module
 */
export * from "./answer_lines.ts";
export type { AnswerPart } from "./asked.ts";
export type { RetryOptions } from "./backoff.ts";
export * from "./chat_chunk.ts";
export * from "./client.ts";
export * from "./completion.ts";
export type { CompletionComponents, PersistenceOptions } from "./completion_components.ts";
export type { Plan } from "./plan.ts";
export * from "./wallet.ts";
export type { Question } from "./question.ts";
export type { RoutingOptions } from "./router.ts";

if (import.meta.main) {
  const { main } = await import("./main.ts");
  Deno.exit(await main(Deno.args));
}
