/** What people write on the command line, read. @module */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { Address } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { addressOfPeerId, isChecksumRight } from "@lloom/core/identity";
import { type Amount, type Asset, parseAmount } from "@lloom/core/payments";
import { UsageError } from "@lloom/host";

/** An address; where its letters are of both cases, they must be EIP-55's. */
export function parseAddress(text: string): Address {
  if (!/^0x[0-9a-f]{40}$/i.test(text)) {
    throw new InvalidArgumentError("It must be 0x and 40 hex digits.");
  }
  if (!isChecksumRight(text)) {
    throw new InvalidArgumentError("Its checksum is wrong: a letter or a digit was mistyped.");
  }
  return text.toLowerCase() as Address;
}

/** The address of an executor, which may be named by its PeerId. */
export function parseExecutor(text: string): Address {
  if (text.startsWith("0x")) return parseAddress(text);
  try {
    return addressOfPeerId(text);
  } catch (error) {
    if (!(error instanceof LloomError)) throw error;
    throw new InvalidArgumentError("It must be an address or a PeerId.");
  }
}

/** Money, more than none of it. @throws {UsageError} */
export function parsePositive(text: string, asset: Asset): Amount {
  try {
    const amount = parseAmount(text, asset);
    if (amount > 0n) return amount;
  } catch (error) {
    if (!(error instanceof LloomError)) throw error;
    throw new UsageError(error.message, { cause: error });
  }
  throw new UsageError("read amount: it must be more than 0");
}

/** How many entries are shown. */
export function parseLimit(text: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_SHOWN) {
    throw new InvalidArgumentError(`It must be a number from 1 to ${MAX_SHOWN}.`);
  }
  return limit;
}

/** Entries at once: more are asked for with `--before`. */
const MAX_SHOWN = 1000;
