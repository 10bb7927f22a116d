/** What a hostile executor answers, and what the client makes of it. */
import assert from "node:assert/strict";
import { type Completion, textOf } from "@lloom/client";
import { toHex } from "@lloom/core/bytes";
import type { ErrorCode } from "@lloom/core/errors";
import { generateIdentity } from "@lloom/core/identity";
import {
  encodeAccept,
  encodeDelta,
  encodeReceipt,
  encodeReject,
  MAX_RESPONSE_BYTES,
} from "@lloom/core/protocol";
import { createSigner, type LlmResponseCommitment, noblePrimitives } from "@lloom/core/signing";
import { keccak_256 } from "@noble/hashes/sha3";
import { chat } from "../support/asking.ts";
import { ANSWER, type Asked, HostileExecutor, line, TRAILER } from "../support/hostile_executor.ts";
import { Network, PROCESS_TEST } from "../support/network.ts";

let network: Network;
let hostile: HostileExecutor;

Deno.test.beforeAll(async () => {
  network = await Network.open(0);
  hostile = await HostileExecutor.start();
});

Deno.test.afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
  await hostile?.[Symbol.asyncDispose]();
});

async function complete(): Promise<Completion> {
  const client = await network.client({ bootstrapNodes: hostile.node.multiaddrs() });
  return client.complete(chat({ max_tokens: 8 }), { timeoutMs: 20_000 });
}

async function read(completion: Completion): Promise<string> {
  let text = "";
  for await (const chunk of completion) text += textOf(chunk);
  return text;
}

async function honest({ requestHash, stream, receipt }: Asked): Promise<void> {
  stream.send(encodeAccept({ requestHash }));
  stream.send(encodeDelta({ lines: ANSWER }));
  stream.send(await receipt());
}

/** The client must refuse that, with a code, and prove nothing by it. */
function refuses(name: string, code: ErrorCode, behave: (asked: Asked) => Promise<void> | void) {
  Deno.test({
    name: `${name} is ${code} at the client`,
    ...PROCESS_TEST,
    fn: async () => {
      hostile.answers(behave);
      const completion = await complete();
      await assert.rejects(read(completion), { code });
      await assert.rejects(completion.receipt, { code });
    },
  });
}

/** An honest answer but for its receipt. */
const withReceipt = (change: Partial<LlmResponseCommitment>) => async (asked: Asked) => {
  asked.stream.send(encodeAccept(asked));
  asked.stream.send(encodeDelta({ lines: ANSWER }));
  asked.stream.send(await asked.receipt(change));
};

Deno.test({
  name: "an honest answer by hand is taken, so that the others are refused for their faults",
  ...PROCESS_TEST,
  fn: async () => {
    hostile.answers(honest);
    const completion = await complete();
    assert.equal(await read(completion), "yes");
    assert.equal((await completion.receipt).executor.peerId, hostile.node.peerId);
  },
});

Deno.test({
  name: "every request carries a nonce of its own, which nobody can guess",
  ...PROCESS_TEST,
  fn: async () => {
    const nonces: bigint[] = [];
    hostile.answers((asked) => {
      nonces.push(asked.open.request.commitment.nonce);
      return honest(asked);
    });
    const client = await network.client({ bootstrapNodes: hostile.node.multiaddrs() });
    for (let i = 0; i < 3; i++) await read(client.complete(chat({ max_tokens: 8 })));
    assert.equal(new Set(nonces).size, 3);
    // Random 64 bits: one in 2^32 is that small.
    for (const nonce of nonces) assert.ok(nonce >= 1n << 32n);
  },
});

refuses("other content than the receipt's", "receipt_invalid", async (asked) => {
  asked.stream.send(encodeAccept(asked));
  asked.stream.send(encodeDelta({ lines: line("no") }));
  asked.stream.send(await asked.receipt());
});
refuses(
  "a receipt for another request",
  "receipt_invalid",
  withReceipt({ requestHash: `0x${"11".repeat(32)}` }),
);
refuses(
  "a receipt for another client",
  "receipt_invalid",
  withReceipt({ client: `0x${"11".repeat(20)}` }),
);
refuses("a receipt over more tokens", "receipt_invalid", withReceipt({ outboundTokens: 9 }));
refuses("a receipt with a price", "receipt_invalid", withReceipt({ outboundPrice: 5n }));
refuses("a receipt from yesterday", "receipt_invalid", withReceipt({ timestamp: 1n }));
refuses(
  "a receipt of failure for a whole answer",
  "receipt_invalid",
  withReceipt({ success: false }),
);
refuses("a receipt signed by another", "signer_mismatch", async (asked) => {
  const stranger = createSigner(
    noblePrimitives,
    {},
    generateIdentity().exportPrivateKey(),
  );
  asked.stream.send(encodeAccept(asked));
  asked.stream.send(encodeDelta({ lines: ANSWER }));
  const { model } = asked.open.request.commitment;
  const response = await stranger.signResponse({
    requestHash: asked.requestHash,
    client: asked.client,
    model,
    contentHash: toHex(keccak_256.create().update(ANSWER).update(TRAILER).digest()),
    inboundTokens: 1,
    outboundTokens: 1,
    inboundPrice: 0n,
    outboundPrice: 0n,
    timestamp: BigInt(Math.floor(Date.now() / 1000)),
    success: true,
  }, asked.open.request.commitment.channelId);
  asked.stream.send(encodeReceipt({ trailer: TRAILER, response }));
});
refuses("an answer without a receipt", "stream_broken", async ({ requestHash, stream }) => {
  stream.send(encodeAccept({ requestHash }));
  stream.send(encodeDelta({ lines: ANSWER }));
  await stream.close();
});
refuses("an answer to another request", "protocol_violation", ({ stream }) => {
  stream.send(encodeAccept({ requestHash: `0x${"11".repeat(32)}` }));
});
refuses("a delta before the answer was accepted", "protocol_violation", ({ stream }) => {
  stream.send(encodeDelta({ lines: ANSWER }));
});
refuses("a rejection after the first delta", "protocol_violation", ({ requestHash, stream }) => {
  stream.send(encodeAccept({ requestHash }));
  stream.send(encodeDelta({ lines: ANSWER }));
  stream.send(encodeReject({ error: { code: "overloaded", message: "no" } }));
});
refuses("what is no frame", "frame_malformed", ({ stream }) => {
  stream.send(Uint8Array.of(0xff));
});
refuses("an answer without end", "protocol_violation", async ({ requestHash, stream }) => {
  stream.send(encodeAccept({ requestHash }));
  const lines = line("x".repeat(60_000));
  for (let sent = 0; sent <= MAX_RESPONSE_BYTES; sent += lines.length) {
    if (!stream.send(encodeDelta({ lines }))) await stream.drained();
  }
});

Deno.test({
  name: "lines that are no JSON are frame_malformed to whoever reads pieces, and end the request",
  ...PROCESS_TEST,
  fn: async () => {
    hostile.answers(({ requestHash, stream }) => {
      stream.send(encodeAccept({ requestHash }));
      stream.send(encodeDelta({ lines: new TextEncoder().encode("no json\n") }));
    });
    const completion = await complete();
    await assert.rejects(read(completion), { code: "frame_malformed" });
    await assert.rejects(completion.receipt, { code: "aborted" });
  },
});

Deno.test({
  name: "a delta after the receipt is no part of that answer, nor of the next one",
  ...PROCESS_TEST,
  fn: async () => {
    hostile.answers(async (asked) => {
      await honest(asked);
      asked.stream.send(encodeDelta({ lines: line("smuggled") }));
      hostile.answers(honest);
    });
    const client = await network.client({ bootstrapNodes: hostile.node.multiaddrs() });
    const first = client.complete(chat());
    assert.equal(await read(first), "yes");
    const { content } = await first.receipt;
    assert.equal(content.length, ANSWER.length + TRAILER.length);
    const second = client.complete(chat());
    await assert.rejects(read(second), { code: "protocol_violation" });
    // That stream is gone; a new one carries the next request.
    assert.equal(await read(client.complete(chat())), "yes");
  },
});

Deno.test({
  name: "the client's program exits with 6 on a receipt that proves other content",
  ...PROCESS_TEST,
  fn: async () => {
    hostile.answers(withReceipt({ contentHash: `0x${"22".repeat(32)}` }));
    const bootstrap = hostile.node.multiaddrs().flatMap((at) => ["--bootstrap-nodes", at]);
    const { code, stdout, stderr } = await network.run(
      ...["--prompt", "hi", "--model", "mock-model", "--format", "json", ...bootstrap],
    );
    assert.equal(code, 6);
    assert.equal(stdout, "");
    assert.equal(JSON.parse(stderr).error.code, "receipt_invalid");
  },
});
