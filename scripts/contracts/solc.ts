/**
 * The Solidity compiler from npm with the two switches of the native one that forge uses:
 * `--version`, and `--standard-json` from standard input to standard output.
 */
import { text } from "node:stream/consumers";
import process from "node:process";
import * as module from "solc";

const { default: solc } = module as unknown as {
  readonly default: { version(): string; compile(input: string): string };
};

if (Deno.args.includes("--version")) {
  // In the form of the native compiler, of which forge reads the version.
  console.log(`solc, the solidity compiler\nVersion: ${solc.version()}`);
} else if (Deno.args.includes("--standard-json")) {
  console.log(solc.compile(await text(process.stdin)));
} else {
  throw new RangeError("run solc: neither --version nor --standard-json");
}
