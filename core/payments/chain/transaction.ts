/** Signs transactions. @module */
import { serializeTransaction } from "viem/utils";
import { type Address, fromHex, toHex } from "../../bytes.ts";
import { noblePrimitives } from "../../signing/noble_primitives.ts";
import type { Attempt, Call } from "./ports.ts";

/** What is signed of a transaction besides its chain. */
export interface TransactionDraft extends Call {
  /** The account's nonce. */
  readonly nonce: number;
  /** Units of gas that it may use. */
  readonly gas: bigint;
  /** The most it pays for a unit of gas. */
  readonly maxFeePerGas: bigint;
  /** What of it goes to the block's proposer. */
  readonly maxPriorityFeePerGas: bigint;
}

/** Signs transactions of one account on one chain. */
export interface TransactionSigner {
  /** The account. */
  readonly account: Address;
  /** The same draft gives the same transaction. */
  sign(draft: TransactionDraft): Attempt;
}

/**
 * A signer by key.
 * @param privateKey 32 bytes
 * @throws {TypeError} if it is not a key
 */
export function createTransactionSigner(
  privateKey: Uint8Array,
  chainId: bigint,
): TransactionSigner {
  const { keccak256, sign } = noblePrimitives;
  const key = privateKey.slice();
  return {
    account: noblePrimitives.addressOf(key),
    sign({ to, data, value, nonce, gas, maxFeePerGas, maxPriorityFeePerGas }): Attempt {
      const transaction = {
        type: "eip1559",
        chainId: Number(chainId),
        ...{ to, data, value, nonce, gas, maxFeePerGas, maxPriorityFeePerGas },
      } as const;
      const signature = sign(keccak256(fromHex(serializeTransaction(transaction))), key);
      const raw = serializeTransaction(transaction, {
        r: toHex(signature.subarray(0, 32)),
        s: toHex(signature.subarray(32, 64)),
        yParity: signature[64]!,
      });
      return { hash: toHex(keccak256(fromHex(raw))), raw, maxFeePerGas, maxPriorityFeePerGas };
    },
  };
}
