/**
 * An executor of the Lloom network: `deno run jsr:@lloom/executor`, or as a library.
 * @module
 */
export { Executor, type ExecutorOptions } from "./executor.ts";
export type { ModelTest } from "./test_models.ts";

if (import.meta.main) {
  const { main } = await import("./main.ts");
  Deno.exit(await main(Deno.args));
}
