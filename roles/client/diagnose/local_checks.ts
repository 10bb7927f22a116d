/** Checks of this machine: the program's permissions, its settings, its key, its data. @module */
import { Identity, parsePrivateKey, toChecksumAddress } from "@lloom/core/identity";
import {
  type CommandContext,
  isFileThere,
  keyFilePath,
  ledgerPath,
  paymentChain,
  probeDataDirectory,
  readKeyFile,
} from "@lloom/host";
import type { ClientConfig } from "@lloom/host/config";
import type { Wallet } from "../wallet.ts";
import { failed, ok, type Outcome, skipped, warning } from "./check.ts";
import { inWords } from "./time_span.ts";

/** What a client cannot do without. */
const NEEDED: readonly Deno.PermissionDescriptor[] = [{ name: "net" }];
/** What it never needs, and Deno grants where it was started with `-A`. */
const SUPERFLUOUS: readonly Deno.PermissionDescriptor[] = [{ name: "run" }, { name: "ffi" }];

const INSTALL =
  "start it as `deno task client`, or install it with `deno task install-role client`";

/** Whether Deno lets the program do what it must, and no more. */
export function checkProgram(sandboxWorkers: boolean): Outcome {
  const isGranted = (one: Deno.PermissionDescriptor) =>
    Deno.permissions.querySync(one).state === "granted";
  const missing = NEEDED.filter((one) => !isGranted(one)).map(({ name }) => name);
  if (missing.length > 0) {
    return failed("config_invalid", `Deno does not permit: ${missing.join(", ")}`, INSTALL);
  }
  const tooMuch = SUPERFLUOUS.filter(isGranted).map(({ name }) => name);
  if (tooMuch.length > 0) {
    return warning(`Deno permits more than it needs: ${tooMuch.join(", ")}`, INSTALL);
  }
  const version = `Deno ${Deno.version.deno}`;
  return sandboxWorkers
    ? ok(`${version}; nothing is permitted that is not needed`)
    : warning(`${version}; workers may do all that the program may`, INSTALL);
}

/** What the user should be told about the settings. */
export function checkConfiguration(
  { configPath, warnings }: Pick<CommandContext<ClientConfig>, "configPath" | "warnings">,
): Outcome | readonly Outcome[] {
  if (warnings.length > 0) {
    return warnings.map((text) => warning(text, "see docs/configuration.md"));
  }
  return ok(configPath === undefined ? "no file; flags and variables count" : `read ${configPath}`);
}

/** Whether data can be kept. @throws {LloomError} `config_invalid` */
export function checkDataDirectory({ storage: { dataDir } }: ClientConfig): Outcome {
  probeDataDirectory(dataDir);
  return ok(`${dataDir} can be written to`);
}

/** The client's key, which is not made here; absent before its first use. @throws {LloomError} `identity_invalid` */
export function findIdentity(config: ClientConfig): Identity | undefined {
  const { privateKey } = config.identity;
  if (privateKey !== undefined) return new Identity(parsePrivateKey(privateKey));
  return readKeyFile(keyFilePath(config));
}

/** Whether there is a key, that nobody else may read. @throws {LloomError} `identity_invalid` */
export function checkIdentity(config: ClientConfig): Outcome {
  const identity = findIdentity(config);
  const path = keyFilePath(config);
  if (identity !== undefined) {
    const where = config.identity.privateKey === undefined ? path : "a flag or a variable";
    return ok(`${toChecksumAddress(identity.address)}, from ${where}`);
  }
  return config.identity.generateIfMissing
    ? warning(`no key yet at ${path}`, "`generate-identity` makes one, as the first request does")
    : failed("identity_invalid", `no key at ${path}`, "make one with `generate-identity`");
}

/** Whether what was asked and paid can be read. @throws {LloomError} `config_invalid`, `overloaded` */
export async function checkLedger(
  { blockchain, storage: { dataDir } }: ClientConfig,
  wallet: Wallet | undefined,
): Promise<Outcome> {
  const path = ledgerPath(dataDir, paymentChain(blockchain));
  if (wallet === undefined || !isFileThere(path)) return skipped("nothing was asked yet");
  const store = await wallet.ledger();
  const [newest] = await store.history({ limit: 1 });
  const channels = (await store.channels()).filter(({ status }) => status !== "closed").length;
  const last = newest === undefined
    ? "no request yet"
    : `last asked ${inWords(Date.now() - newest.startedMs)} ago`;
  return ok(`${path} can be read: ${last}, ${channels} channels`);
}
