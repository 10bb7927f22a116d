/**
 * Deploys the contracts, and notes where: `deno task contracts:deploy --rpc-url URL
 * --private-key-file FILE`. What is there already stays.
 * @module
 */
import { Command } from "@commander-js/extra-typings";
import { deployContracts, type Deployment } from "@lloom/contracts/deploy";
import { toHex } from "@lloom/core/bytes";
import { readKeyFile } from "@lloom/host";
import { dirname, join } from "node:path";
import { CONTRACTS } from "./toolchain.ts";

const program = new Command("contracts:deploy")
  .description("Deploys the contracts at the same addresses as on every chain.")
  .requiredOption("--rpc-url <url>", "the chain's node, http or https")
  .requiredOption("--private-key-file <file>", "key of the account that pays; only its owner's")
  .option("--out <file>", "where to note it; default: contracts/deployments/<chain id>.json")
  .parse();
const { rpcUrl, privateKeyFile, out } = program.opts();
const identity = readKeyFile(privateKeyFile) ??
  program.error(`error: no such file: ${privateKeyFile}`, { exitCode: 2 });

const deployment = await deployContracts({
  rpcUrl,
  privateKey: toHex(identity.exportPrivateKey()),
});
const path = out ?? join(CONTRACTS, "deployments", `${deployment.chainId}.json`);
const record = merge(await readRecord(path), deployment);
await Deno.mkdir(dirname(path), { recursive: true });
await Deno.writeTextFile(path, `${JSON.stringify(record, null, 2)}\n`);
for (const [name, { address, transactionHash }] of Object.entries(deployment.contracts)) {
  console.log(`${name} ${address} ${transactionHash ?? "(was there)"}`);
}
console.log(`chain ${deployment.chainId}, noted in ${path}`);

async function readRecord(path: string): Promise<Deployment | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Keeps what is known of contracts that were there already. */
function merge(old: Deployment | undefined, { chainId, contracts }: Deployment): Deployment {
  const keep = (name: keyof typeof contracts) => {
    const before = old?.contracts[name];
    const now = contracts[name];
    const same = before?.address === now.address && now.transactionHash === undefined;
    return old?.chainId === chainId && same ? before : now;
  };
  return {
    chainId,
    contracts: { LloomChannels: keep("LloomChannels"), ExecutorBond: keep("ExecutorBond") },
  };
}
