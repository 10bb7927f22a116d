/**
 * A faucet for Lloom's payments: `deno run jsr:@lloom/faucet`, or as a library.
 * @module
 */
export { Faucet, type FaucetComponents } from "./faucet.ts";
export { type Mailer, type PrintedMail, PrintingMailer, SmtpMailer } from "./mailer.ts";

if (import.meta.main) {
  const { main } = await import("./main.ts");
  Deno.exit(await main(Deno.args));
}
