/** The file that holds a node's private key. @module */
import { LloomError } from "@lloom/core/errors";
import { generateIdentity, Identity, parsePrivateKey } from "@lloom/core/identity";
import { toHex } from "@lloom/core/bytes";
import { getLogger } from "@logtape/logtape";
import { dirname, join } from "node:path";
import type { CommonConfig } from "./config/common_settings.ts";
import { reasonOf } from "./denied.ts";

const log = getLogger(["lloom", "identity"]);

/** 0x, 64 digits and a line end are 67 bytes; anything much longer is some other file. */
const MAX_KEY_FILE_BYTES = 256;

/** Where a node's key is kept. */
export function keyFilePath(config: Pick<CommonConfig, "identity" | "storage">): string {
  return config.identity.privateKeyPath ?? join(config.storage.dataDir, "identity.key");
}

/**
 * This node's identity: from a flag or variable, else from its key file, else a new one, which is
 * written to that file first.
 * @throws {LloomError} `identity_invalid`
 */
export function loadIdentity(config: Pick<CommonConfig, "identity" | "storage">): Identity {
  const { privateKey, generateIfMissing } = config.identity;
  if (privateKey !== undefined) return new Identity(parsePrivateKey(privateKey));
  const path = keyFilePath(config);
  const found = readKeyFile(path);
  if (found !== undefined) return found;
  if (!generateIfMissing) {
    throw new LloomError("identity_invalid", `read key file ${path}: no such file`);
  }
  const identity = generateIdentity();
  if (writeKeyFile(path, identity)) {
    log.info("wrote a new key to {path}: {peerId}", { path, peerId: identity.peerId });
    return identity;
  }
  // Another process was faster: its key is the one that lasts.
  const theirs = readKeyFile(path);
  if (theirs === undefined) throw new LloomError("identity_invalid", `read key file ${path}: gone`);
  return theirs;
}

/**
 * The identity in a key file; undefined if there is no file.
 * @throws {LloomError} `identity_invalid` if it is no key, or other users may read it
 */
export function readKeyFile(path: string): Identity | undefined {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw unusable("read", path, error);
  }
  using open = file;
  // Asked of the open file, so that it cannot be exchanged between the look and the reading.
  const { mode, size, isFile } = open.statSync();
  if (!isFile || size > MAX_KEY_FILE_BYTES) {
    throw new LloomError("identity_invalid", `read key file ${path}: not a key file`);
  }
  // Windows has no such mode (null): there the profile directory's access list protects the file.
  if (mode !== null && (mode & 0o077) !== 0) {
    throw new LloomError(
      "identity_invalid",
      `read key file ${path}: other users may read it; run: chmod 600 ${shellQuote(path)}`,
    );
  }
  const bytes = new Uint8Array(MAX_KEY_FILE_BYTES);
  const length = open.readSync(bytes) ?? 0;
  return new Identity(parsePrivateKey(new TextDecoder().decode(bytes.subarray(0, length)).trim()));
}

/**
 * Writes a key file that only its owner can read, in a directory that only its owner can enter.
 * After a crash at any moment there is either the whole file or none.
 * @returns false if there is a file already, which is left as it is
 * @throws {LloomError} `identity_invalid` if it cannot be written
 */
export function writeKeyFile(path: string, identity: Identity): boolean {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    try {
      {
        using file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
        file.writeSync(new TextEncoder().encode(`${toHex(identity.exportPrivateKey())}\n`));
        file.syncSync();
      }
      // A link, unlike a renaming, never replaces a key that is there already.
      Deno.linkSync(temporary, path);
    } finally {
      removeIfThere(temporary);
    }
    syncDirectory(dirname(path));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw unusable("write", path, error);
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The file's name is durable once its directory is. Windows cannot open directories, and need not. */
function syncDirectory(path: string): void {
  if (Deno.build.os === "windows") return;
  using directory = Deno.openSync(path);
  directory.syncSync();
}

function unusable(action: string, path: string, error: unknown): LloomError {
  return new LloomError("identity_invalid", `${action} key file ${path}: ${reasonOf(error)}`, {
    cause: error,
  });
}

function shellQuote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
