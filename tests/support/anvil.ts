/** A chain of its own for a test or a bench: Foundry's anvil on a free port of 127.0.0.1. @module */
import { findTool } from "../../scripts/contracts/toolchain.ts";

/** The first account that anvil funds, in every chain it starts. */
export const FUNDED_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/** A running chain, stopped by `await using` or {@linkcode Anvil.stop}. */
export interface Anvil extends AsyncDisposable {
  readonly rpcUrl: string;
  stop(): Promise<void>;
}

/**
 * Starts a chain; undefined on a machine without anvil.
 * @param args further arguments of anvil
 * @throws {Error} if it ends before it listens
 */
export async function startAnvil(...args: readonly string[]): Promise<Anvil | undefined> {
  const anvil = await findTool("anvil");
  if (anvil === undefined) return undefined;
  const process = new Deno.Command(anvil, {
    args: ["--host", "127.0.0.1", "--port", "0", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream());
  const address = Promise.withResolvers<string>();
  const drained = (async () => {
    let text = "";
    let found = false;
    for await (const part of lines) {
      if (found) continue; // read on, or anvil would wait for its pipe
      text += part;
      const match = /Listening on (127\.0\.0\.1:\d+)/.exec(text);
      if (match === null) continue;
      found = true;
      address.resolve(match[1]!);
    }
    address.reject(new Error("start anvil: ended before it listened"));
  })();
  const stop = async () => {
    process.kill("SIGTERM");
    await Promise.all([process.status, drained]);
  };
  return { rpcUrl: `http://${await address.promise}`, stop, [Symbol.asyncDispose]: stop };
}
