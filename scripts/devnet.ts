/**
 * A whole network on this machine: a chain with the contracts, a faucet, two validators and three
 * executors, up until Ctrl-C: `deno task devnet [--data-dir DIR]`. With a directory it goes on later
 * where it was.
 * @module
 */
import { Command } from "@commander-js/extra-typings";
import { LloomError } from "@lloom/core/errors";
import { print, printable, printError, runProgram, runUntilSignal } from "@lloom/host";
import { missing } from "@lloom/host/foundry";
import { withTemporaryDirectory } from "@lloom/host/launch";
import { resolve } from "node:path";
import { Devnet, type DevnetPlaces } from "./devnet/devnet.ts";

/** Executors redeem before they end. */
const STOP_GRACE_MS = 30_000;

function guide({ clientDir, bootstrapNodes, rpcUrl, chainId, faucetUrl }: DevnetPlaces): string {
  const client = `deno run -A roles/client/main.ts --data-dir ${clientDir}`;
  return `
The devnet is up. A funded client of it, from this checkout:

  ${client} --discover-models
  ${client} --model lloom-demo --prompt "Who are you?"
  ${client} balance
  ${client} history
  ${client} channel list
  ${client} gateway
  ${client} --help

Or another one, with these variables, and money from the faucet, whose mails are printed here:

  export LLOOM_BOOTSTRAP_NODES=${bootstrapNodes.join(",")}
  export LLOOM_RPC_URL=${rpcUrl} LLOOM_CHAIN_ID=${chainId} LLOOM_CONFIRMATIONS=1
  faucet: ${faucetUrl}

Ctrl-C ends it.
`;
}

async function run(directory: string): Promise<void> {
  let devnet: Devnet | undefined;
  await runUntilSignal(
    async (signal) => {
      devnet = await Devnet.start(directory, signal, {
        onUp: (what, detail) => printError(`${what.padEnd(13)}${printable(detail)}\n`),
        onMail: ({ to, link }) => print(`mail to ${printable(to)}: ${printable(link)}\n`),
        onEnded: (what) => printError(`${what} has ended by itself\n`),
      });
      if (devnet === undefined) throw new LloomError("chain_unavailable", missing("anvil"));
      print(guide(devnet.places));
      return devnet;
    },
    (running) => {
      printError("stopping: executors redeem first\n");
      return running.stop();
    },
    { graceMs: STOP_GRACE_MS },
  );
}

const program = new Command("devnet")
  .description("Runs a whole network on this machine, until Ctrl-C.")
  .option("--data-dir <dir>", "keep everything there, and go on with what is there already")
  .action(async ({ dataDir }) => {
    if (dataDir === undefined) return await withTemporaryDirectory(run);
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o700 });
    await run(resolve(dataDir));
  });
Deno.exit(await runProgram(program, Deno.args));
