/**
 * A client of the Lloom network: `deno run -A jsr:@lloom/client --demo`, or as a library.
 * @module
 */
export * from "./asking/answer_lines.ts";
export type { AnswerPart } from "./asking/asked.ts";
export type { RetryOptions } from "./asking/backoff.ts";
export * from "./asking/chat_chunk.ts";
export * from "./asking/completion.ts";
export type { CompletionComponents, PersistenceOptions } from "./asking/completion_components.ts";
export type { Plan } from "./asking/plan.ts";
export type { Question } from "./asking/question.ts";
export type { RoutingOptions } from "./asking/router.ts";
export * from "./client.ts";
export * from "./wallet.ts";

if (import.meta.main) {
  const { main } = await import("./main.ts");
  Deno.exit(await main(Deno.args));
}
