/**
 * A validator of the Lloom network: `deno run jsr:@lloom/validator`, or as a library.
 * @module
 */
export { Validator, type ValidatorOptions } from "./validator.ts";

if (import.meta.main) {
  const { main } = await import("./main.ts");
  Deno.exit(await main(Deno.args));
}
