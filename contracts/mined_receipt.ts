/** Waits until a transaction is in a block. @module */
import { type Hex, TransactionReceiptNotFoundError } from "viem";

/** Between two looks. */
const POLL_MS = 100;
/** Enough for the slowest public chains. */
const TIMEOUT_MS = 180_000;

/** What a receipt is asked from. */
export interface ReceiptReader<Receipt> {
  /** Asks once; rejects while there is none. */
  getTransactionReceipt(args: { readonly hash: Hex }): Promise<Receipt>;
}

/**
 * The receipt of a transaction, once it is in a block. viem's own waiting looks again only when a new
 * block comes: on a chain that mines for each transaction alone, none comes after one that was mined a
 * moment after the first look.
 * @throws {Error} if it is in none after three minutes
 */
export async function minedReceipt<Receipt>(
  reader: ReceiptReader<Receipt>,
  hash: Hex,
): Promise<Receipt> {
  const endMs = performance.now() + TIMEOUT_MS;
  for (;;) {
    try {
      return await reader.getTransactionReceipt({ hash });
    } catch (error) {
      if (!(error instanceof TransactionReceiptNotFoundError)) throw error;
      if (performance.now() > endMs) {
        throw new Error(`wait for transaction: ${hash} is in no block`, { cause: error });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
