/** One request over several executors: whose pieces and whose proof the caller gets. */
import assert from "node:assert/strict";
import { type ErrorCode, LloomError } from "@lloom/core/errors";
import type { InferAnswer, Receipt } from "@lloom/core/net";
import type { Candidate } from "@lloom/core/routing";
import { Completion } from "./completion.ts";

const LINE = new TextEncoder().encode('{"choices":[{"index":0,"delta":{"content":"hi"}}]}\n');

/** The candidates and receipts of these tests are told apart by their PeerId alone. */
const candidate = (peerId: string) => ({ announcement: { peerId } }) as unknown as Candidate;
const receiptOf = (peerId: string) =>
  ({
    executor: { peerId },
    response: { commitment: { outboundTokens: 1 } },
    content: LINE,
  }) as unknown as Receipt;

/** An executor that says so many pieces, then proves its answer, or fails. */
function answer(peerId: string, pieces: number, failure?: ErrorCode): InferAnswer {
  const receipt = Promise.withResolvers<Receipt>();
  receipt.promise.catch(() => undefined);
  return {
    receipt: receipt.promise,
    async *[Symbol.asyncIterator]() {
      try {
        for (let i = 0; i < pieces; i++) yield LINE;
        if (failure !== undefined) {
          const error = new LloomError(failure, "answer: failed");
          receipt.reject(error);
          throw error;
        }
      } finally {
        // Later than the iteration's end, as a signature is.
        setTimeout(() => receipt.resolve(receiptOf(peerId)));
      }
    },
  };
}

function complete(answers: Readonly<Record<string, InferAnswer>>): Completion {
  return new Completion({
    candidates: () => Promise.resolve(Object.keys(answers).map(candidate)),
    ask: ({ announcement: { peerId } }) => answers[peerId]!,
    observe: () => ({ firstToken() {}, succeeded() {}, failed() {} }),
  });
}

async function count(completion: Completion): Promise<number> {
  let pieces = 0;
  for await (const _ of completion) pieces++;
  return pieces;
}

Deno.test("after a failover, pieces and receipt are those of the executor that answered", async () => {
  const completion = complete({
    a: answer("a", 0, "stream_broken"),
    b: answer("b", 2),
    c: answer("c", 1),
  });
  assert.equal(await count(completion), 2);
  assert.equal((await completion.receipt).executor.peerId, "b");
});

Deno.test("after the first piece, a failure is the caller's: pieces of two executors never mix", async () => {
  const completion = complete({ a: answer("a", 1, "stream_broken"), b: answer("b", 2) });
  await assert.rejects(count(completion), { code: "stream_broken" });
  await assert.rejects(completion.receipt, { code: "stream_broken" });
});

Deno.test("where all fail, the last one's error is the caller's", async () => {
  const completion = complete({
    a: answer("a", 0, "stream_broken"),
    b: answer("b", 0, "overloaded"),
  });
  await assert.rejects(count(completion), { code: "overloaded" });
  await assert.rejects(completion.receipt, { code: "overloaded" });
});

Deno.test("a caller that leaves early still gets the receipt for what was delivered", async () => {
  const completion = complete({ a: answer("a", 3) });
  for await (const _ of completion) break;
  assert.equal((await completion.receipt).executor.peerId, "a");
});
