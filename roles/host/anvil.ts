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
  /** The number of its process. */
  readonly pid: number;
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
 * Tells anvil's process id, and ends it once standard input ends, however whoever started it ended.
 * The output is left to anvil alone, so that its end is seen.
 */
const GUARD = '"$0" "$@" & echo $!; exec >&-; while read -r _; do :; done; kill $!; wait';

/**
 * Starts a chain; undefined on a machine without anvil. It ends with this process, but not with a
 * Ctrl-C on the terminal: whoever uses it may have something to settle first.
 * @throws {LloomError} `chain_unavailable` if it ends before it listens
 */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil | undefined> {
  const anvil = await findTool("anvil");
  if (anvil === undefined) return undefined;
  const { port = 0, args = [] } = options;
  const all = ["--host", "127.0.0.1", "--port", String(port), ...args];
  const guarded = Deno.build.os !== "windows";
  const process = new Deno.Command(guarded ? "sh" : anvil, {
    args: guarded ? ["-c", GUARD, anvil, ...all] : all,
    stdin: guarded ? "piped" : "null",
    stdout: "piped",
    stderr: "null",
    detached: guarded,
  }).spawn();
  const started = Promise.withResolvers<{ readonly pid: number; readonly rpcUrl: string }>();
  let ended = false;
  const drained = (async () => {
    let text = "";
    let found = false;
    for await (const part of process.stdout.pipeThrough(new TextDecoderStream())) {
      if (found) continue; // read on, or anvil would wait for its pipe
      text += part;
      const match = /Listening on (127\.0\.0\.1:\d+)/.exec(text);
      if (match === null) continue;
      found = true;
      const pid = guarded ? Number.parseInt(text) : process.pid;
      started.resolve({ pid, rpcUrl: `http://${match[1]}` });
    }
    ended = true;
    started.reject(
      new LloomError("chain_unavailable", "start anvil: it ended before it listened"),
    );
    if (guarded) await process.stdin.close();
    await process.status;
  })();
  const { pid, rpcUrl } = await started.promise;
  const stop = async (signal?: Deno.Signal) => {
    if (!ended) Deno.kill(pid, signal);
    await drained;
  };
  return { rpcUrl, pid, stop, [Symbol.asyncDispose]: () => stop() };
}
