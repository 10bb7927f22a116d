/** A chain on this machine, for the demo, the devnet and tests: Foundry's anvil. @module */
import { LloomError } from "@lloom/core/errors";
import { findTool } from "./foundry.ts";

/** The first account that anvil funds, in every chain it starts. */
export const FUNDED_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/** The number of a chain of anvil's, unless its arguments say otherwise. */
export const ANVIL_CHAIN_ID = 31337n;

/** A running chain, stopped by `await using` or {@linkcode Anvil.stop}. */
export interface Anvil extends AsyncDisposable {
  /** Where it answers. */
  readonly rpcUrl: string;
  /** Ends it, and waits for its end. @param signal default `SIGTERM` */
  stop(signal?: Deno.Signal): Promise<void>;
}

/** How a chain is started. */
export interface AnvilOptions {
  /** Port on 127.0.0.1. @default a free one */
  readonly port?: number;
  /** Further arguments of anvil. */
  readonly args?: readonly string[];
}

/**
 * Starts a chain; undefined on a machine without anvil.
 * @throws {LloomError} `chain_unavailable` if it ends before it listens
 */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil | undefined> {
  const anvil = await findTool("anvil");
  if (anvil === undefined) return undefined;
  const { port = 0, args = [] } = options;
  const process = new Deno.Command(anvil, {
    args: ["--host", "127.0.0.1", "--port", String(port), ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let ended = false;
  const status = process.status.finally(() => ended = true);
  const address = Promise.withResolvers<string>();
  const drained = (async () => {
    let text = "";
    let found = false;
    for await (const part of process.stdout.pipeThrough(new TextDecoderStream())) {
      if (found) continue; // read on, or anvil would wait for its pipe
      text += part;
      const match = /Listening on (127\.0\.0\.1:\d+)/.exec(text);
      if (match === null) continue;
      found = true;
      address.resolve(match[1]!);
    }
    address.reject(
      new LloomError("chain_unavailable", "start anvil: it ended before it listened"),
    );
  })();
  const stop = async (signal?: Deno.Signal) => {
    if (!ended) process.kill(signal);
    await Promise.all([status, drained]);
  };
  return {
    rpcUrl: `http://${await address.promise}`,
    stop,
    [Symbol.asyncDispose]: () => stop(),
  };
}
