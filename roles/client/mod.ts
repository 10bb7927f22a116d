/**
 * A client of the Lloom network: `deno run -A jsr:@lloom/client --demo`, or as a library.
 * @module
 */
export * from "./chat_chunk.ts";
export * from "./client.ts";
export type { Plan } from "./plan.ts";
export * from "./wallet.ts";
export { Completion, type CompletionComponents } from "./completion.ts";

if (import.meta.main) {
  const { main } = await import("./main.ts");
  Deno.exit(await main(Deno.args));
}
