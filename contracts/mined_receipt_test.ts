import assert from "node:assert/strict";
import { TransactionReceiptNotFoundError } from "viem";
import { minedReceipt, type ReceiptReader } from "./mined_receipt.ts";

const HASH = "0x01";

Deno.test("a transaction is found though no block comes after its own", async () => {
  let looks = 0;
  const receipt = { transactionHash: HASH };
  const reader: ReceiptReader<typeof receipt> = {
    getTransactionReceipt: ({ hash }) =>
      ++looks < 3
        ? Promise.reject(new TransactionReceiptNotFoundError({ hash }))
        : Promise.resolve(receipt),
  };
  assert.equal(await minedReceipt(reader, HASH), receipt);
  assert.equal(looks, 3);
});

Deno.test("a chain that fails is told at once", async () => {
  const reader: ReceiptReader<never> = {
    getTransactionReceipt: () => Promise.reject(new Error("down")),
  };
  await assert.rejects(minedReceipt(reader, HASH), /down/);
});
