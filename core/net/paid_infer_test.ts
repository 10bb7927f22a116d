/** Client and server of paid inference, over streams in memory, real signatures and both ledgers. */
import assert from "node:assert/strict";
import {
  type LedgerParties,
  ledgerParties,
  PAYMENT,
  PAYMENT_DOMAIN,
} from "../../tests/support/ledger_parties.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { type MemoryStream, memoryStreams } from "../../tests/support/memory_stream.ts";
import { ScriptedModel, type ScriptedRun } from "../../tests/support/scripted_model.ts";
import { type ErrorCode, LloomError } from "../errors.ts";
import { Allowance } from "../payments/allowance.ts";
import { costOf, toCost } from "../payments/amounts.ts";
import { estimate } from "../payments/prepay.ts";
import type { MessageStream } from "../ports.ts";
import { readModelRequest } from "../protocol/model_request.ts";
import { decodeClientFrame, decodeExecutorFrame, encodeDue } from "../protocol/infer/mod.ts";
import { encodeReceipt } from "../protocol/infer/receipt.ts";
import { draftRequest, MemoryNonceStore, randomNonce } from "../session/mod.ts";
import { createSigner, createVerifier, noblePrimitives } from "../signing/mod.ts";
import { InferClient } from "./infer_client.ts";
import type { InferAnswer, InferRequest } from "./infer_request.ts";
import { InferServer } from "./infer_server.ts";
import type { ServedRequest } from "./serving.ts";

const domains = { payment: PAYMENT_DOMAIN };
const clientSigner = createSigner(noblePrimitives, domains, new Uint8Array(32).fill(1));
const executorSigner = createSigner(noblePrimitives, domains, new Uint8Array(32).fill(2));
const verifier = createVerifier(noblePrimitives, domains);
const executor = { peerId: "executor", address: executorSigner.address };
const offer = {
  id: "m",
  backend: "custom",
  features: [],
  available: true,
  inboundPrice: 1_000n,
  outboundPrice: 1_000_000n,
};
const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }], max_tokens: 100 };
const BODY = new TextEncoder().encode(JSON.stringify(CHAT));
const { prepay: PREPAY } = estimate({ ...offer, maxTokens: 100 }, BODY.length);
const STEP = costOf(offer, 0, PAYMENT.stepTokens);

function ask(fields: Partial<InferRequest> = {}): InferRequest {
  return {
    body: BODY,
    systemPrompt: "",
    answers: 1,
    payment: PAYMENT,
    draft: () =>
      draftRequest(readModelRequest(CHAT), {
        executor: executor.address,
        offer,
        nowMs: Date.now(),
        timeoutMs: 10_000,
        nonce: randomNonce(),
      }),
    ...fields,
  };
}

/** Changes messages on their way; undefined drops one. */
type Tamper = (message: Uint8Array) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

/** One end of a stream whose incoming messages are tampered with. */
function tampered(stream: MemoryStream, tamper: Tamper): MessageStream {
  return {
    send: (message) => stream.send(message),
    drained: () => stream.drained(),
    close: () => stream.close(),
    abort: (error) => stream.abort(error),
    async next() {
      for (;;) {
        const message = await stream.next();
        const changed = message && await tamper(message);
        if (message === undefined || changed !== undefined) return changed;
      }
    },
  };
}

interface Market extends LedgerParties {
  readonly model: ScriptedModel;
  readonly client: InferClient;
  readonly served: ServedRequest[];
  readonly streams: MemoryStream[];
  /** Frames of each type that either side sent. */
  readonly frames: Record<string, number>;
  readonly clock: ManualClock;
  /** Resolves once so many requests are over, and their accounts closed. */
  done(count: number): Promise<void>;
}

/** What is changed in the market. */
interface Change {
  readonly toClient?: Tamper;
  readonly free?: "client" | "executor";
  readonly deposit?: bigint;
}

async function market({ toClient, free, deposit }: Change = {}): Promise<Market> {
  const parties = await ledgerParties(clientSigner, verifier, executor.address, deposit);
  const model = new ScriptedModel();
  const served: ServedRequest[] = [];
  const streams: MemoryStream[] = [];
  const frames: Record<string, number> = {};
  const clock = new ManualClock(Date.now());
  const count = (type: string) => frames[type] = (frames[type] ?? 0) + 1;
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const server = new InferServer({}, {
    clock,
    signer: executorSigner,
    verifier,
    nonces: new MemoryNonceStore({}, { clock }),
    terms: { executor: executor.address, offer: () => offer },
    inference: () => model,
    onDone: (request) => {
      served.push(request);
      for (const { count, resolve } of waiting) if (served.length >= count) resolve();
    },
    ...(free !== "executor" && { cashier: parties.cashier }),
  });
  const client = new InferClient({}, {
    clock,
    signer: clientSigner,
    verifier,
    ...(free !== "client" && { payer: parties.payer }),
    openStream: () => {
      const [near, far] = memoryStreams(1000);
      streams.push(far);
      const counted = tampered(far, (message) => {
        count(decodeClientFrame(message).type);
        return message;
      });
      server.serve(counted, clientSigner.address);
      return Promise.resolve(tampered(near, (message) => {
        count(decodeExecutorFrame(message).type);
        return toClient ? toClient(message) : message;
      }));
    },
  });
  const done = async (count: number) => {
    if (served.length < count) {
      await new Promise<void>((resolve) => waiting.push({ count, resolve }));
    }
    await server.stop(0);
  };
  return { ...parties, model, client, served, streams, frames, clock, done };
}

const codeOf = (promise: Promise<unknown>): Promise<ErrorCode | undefined> =>
  promise.then(() => undefined, (error) => error instanceof LloomError ? error.code : error);

/** Asks, and waits until the model runs. */
async function started(market: Market): Promise<{ run: ScriptedRun; answer: InferAnswer }> {
  const next = market.model.nextRun;
  const answer = market.client.ask(executor, ask());
  answer.receipt.catch(() => {});
  return { run: await next, answer };
}

/** Reads so many lines of an answer. */
async function read(lines: AsyncIterator<Uint8Array>, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await lines.next();
}

Deno.test("an answer is paid as it comes, both ledgers agree, and three requests share a stream", async () => {
  const it = await market();
  for (let request = 1; request <= 3; request++) {
    const { run, answer } = await started(it);
    const lines = answer[Symbol.asyncIterator]();
    for (let i = 0; i < 6; i++) {
      run.write(4);
      await read(lines, 1);
    }
    run.end(undefined, 25);
    const { payment, response } = await answer.receipt;
    const cost = costOf(offer, 5, 25);
    assert.equal(payment?.cost, cost);
    assert.ok(payment.paid >= cost);
    assert.deepEqual(payment.terms, it.terms);
    assert.equal(response.commitment.outboundTokens, 25);
    assert.equal((await verifier.verifyVoucher(payment.voucher!)).signer, clientSigner.address);
  }
  await it.done(3);
  assert.equal(it.streams.length, 1);
  assert.deepEqual(it.payer.ends, ["settle", "settle", "settle"]);
  const [bought] = await it.buyerStore.channels();
  const sold = await it.sellerStore.channel(it.channelId);
  assert.equal(bought!.spent, 3n * costOf(offer, 5, 25));
  assert.equal(sold!.spent, bought!.spent);
  assert.equal(sold!.unpaid, 0n);
  assert.equal(sold!.voucher!.voucher.cumulativeAmount, bought!.signed);
  assert.deepEqual([bought!.reserved, sold!.reserved], [0n, 0n]);
  await it.client.stop();
});

Deno.test("a short paid answer takes one more frame than a free one", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  run.write(3);
  run.end(undefined, 3);
  await answer.receipt;
  await it.done(1);
  assert.deepEqual(it.frames, { open: 1, accept: 1, delta: 1, receipt: 1, voucher: 1 });
  await it.client.stop();
});

Deno.test("a client without a payer does not ask for a price, and an executor without a cashier refuses one", async () => {
  const poor = await market({ free: "client" });
  assert.equal(await codeOf(poor.client.ask(executor, ask()).receipt), "payment_required");
  assert.deepEqual(poor.frames, {});
  const generous = await market({ free: "executor" });
  assert.equal(await codeOf(generous.client.ask(executor, ask()).receipt), "payment_required");
  assert.deepEqual(generous.payer.ends, ["refused"]);
  for (const { client } of [poor, generous]) await client.stop();
});

Deno.test("a request that the backend refuses costs nothing on either side", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  run.fail("backend_rejected");
  assert.equal(await codeOf(answer.receipt), "backend_rejected");
  await it.done(1);
  assert.deepEqual(it.payer.ends, ["refused"]);
  assert.equal((await it.buyerStore.channels())[0]!.spent, 0n);
  assert.equal((await it.sellerStore.channel(it.channelId))!.spent, 0n);
  await it.client.stop();
});

Deno.test("a request that could not be sent on a stream that was closed costs nothing, and is asked on another", async () => {
  const it = await market();
  for (let request = 0; request < 2; request++) {
    const { run, answer } = await started(it);
    run.end(undefined, 0);
    await answer.receipt;
    it.streams[0]!.abort(new Error("idle"));
  }
  assert.equal(it.streams.length, 2);
  assert.deepEqual(it.payer.ends, ["settle", "refused", "settle"]);
  await it.client.stop();
});

Deno.test("a kept stream that is cut once the request went through costs its beginning, and the channel goes on", async () => {
  let cut = false;
  const it = await market({
    toClient(message) {
      if (!cut) return message;
      cut = false;
      throw new LloomError("stream_broken", "test: cut");
    },
  });
  const complete = async (run: ScriptedRun, answer: InferAnswer) => {
    run.write(4);
    await read(answer[Symbol.asyncIterator](), 1);
    run.end(undefined, 4);
    await answer.receipt;
  };
  const first = await started(it);
  await complete(first.run, first.answer);
  // The executor's accept does not arrive; the request is made anew, with a payment of its own.
  cut = true;
  const second = await started(it);
  const anew = it.model.nextRun;
  second.run.cancelled.then((error) => second.run.end(error, 0));
  await complete(await anew, second.answer);
  const third = await started(it);
  await complete(third.run, third.answer);
  await it.done(4);
  assert.deepEqual(it.payer.ends, ["settle", "abandon", "settle", "settle"]);
  const [bought] = await it.buyerStore.channels();
  const sold = await it.sellerStore.channel(it.channelId);
  assert.equal(bought!.spent, PREPAY + 3n * costOf(offer, 5, 4));
  assert.ok(sold!.spent <= bought!.spent);
  assert.equal(bought!.refusals, 0);
  await it.client.stop();
});

Deno.test("attempts at one answer cost together no more than is allowed for it", async () => {
  const { maxCost } = estimate({ ...offer, maxTokens: 100 }, BODY.length);
  for (const [missing, code] of [[1n, "budget_exceeded"], [0n, undefined]] as const) {
    const it = await market();
    const allowance = new Allowance(1000n);
    allowance.reserve(toCost(1000n) - maxCost - PREPAY + missing);
    const next = it.model.nextRun;
    const broken = it.client.ask(executor, ask({ allowance }));
    const run = await next;
    it.streams[0]!.abort(new Error("cut"));
    run.end(await run.cancelled, 0);
    assert.equal(await codeOf(broken.receipt), "stream_broken");
    const again = it.model.nextRun;
    const answer = it.client.ask(executor, ask({ allowance }));
    if (code === undefined) (await again).end(undefined, 0);
    assert.equal(await codeOf(answer.receipt), code);
    await it.client.stop();
  }
});

Deno.test("two attempts at once cost together no more than is allowed, and what one leaves is free again", async () => {
  const { maxCost } = estimate({ ...offer, maxTokens: 100 }, BODY.length);
  const it = await market();
  const allowance = new Allowance(1000n);
  allowance.reserve(toCost(1000n) - 2n * maxCost + 1n);
  const next = it.model.nextRun;
  const cancelled = new AbortController();
  const slow = it.client.ask(executor, ask({ allowance }), cancelled.signal);
  const run = await next;
  assert.equal(
    await codeOf(it.client.ask(executor, ask({ allowance })).receipt),
    "budget_exceeded",
  );

  run.write(2);
  await read(slow[Symbol.asyncIterator](), 1);
  cancelled.abort(new LloomError("aborted", "another was faster"));
  run.end(await run.cancelled, 2);
  assert.equal((await slow.receipt).payment?.cost, slow.spent);
  assert.equal(slow.spent, costOf(offer, 5, 2));

  // All but what the first one cost can be spent now, which is less than it could have cost.
  const again = it.model.nextRun;
  const answer = it.client.ask(executor, ask({ allowance }));
  (await again).end(undefined, 0);
  assert.equal(await codeOf(answer.receipt), undefined);
  await it.client.stop();
});

Deno.test("a cancelled answer is settled for what was delivered", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  const lines = answer[Symbol.asyncIterator]();
  run.write(4);
  await read(lines, 1);
  lines.return!();
  run.end(await run.cancelled, 4);
  const { payment, requestHash, content } = await answer.receipt;
  assert.equal(payment?.cost, costOf(offer, 5, 4));
  assert.equal(answer.spent, costOf(offer, 5, 4));
  assert.equal(answer.requestHash, requestHash);
  const delivered = answer.delivered();
  assert.deepEqual(delivered, content.subarray(0, content.lastIndexOf(0x0a, -2) + 1));
  await it.done(1);
  assert.equal((await it.sellerStore.channel(it.channelId))!.spent, costOf(offer, 5, 4));
  await it.client.stop();
});

Deno.test("a stream cut in mid-answer costs what was paid, and the executor writes the rest off", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  run.write(3);
  await read(answer[Symbol.asyncIterator](), 1);
  it.streams[0]!.abort(new Error("cut"));
  run.end(await run.cancelled, 3);
  assert.equal(await codeOf(answer.receipt), "stream_broken");
  await it.done(1);
  assert.deepEqual(it.payer.ends, ["abandon"]);
  assert.equal((await it.buyerStore.channels())[0]!.spent, PREPAY);
  assert.equal(answer.spent, PREPAY);
  const sold = await it.sellerStore.channel(it.channelId);
  assert.equal(sold!.spent, PREPAY);
  assert.equal(sold!.unpaid, costOf(offer, 5, 3) - PREPAY);
  await it.client.stop();
});

// Clients that cheat

Deno.test("a client that stops paying in mid-stream gets a step for nothing, and no receipt", async () => {
  const it = await market({
    toClient: (message) => decodeExecutorFrame(message).type === "due" ? undefined : message,
  });
  const { run, answer } = await started(it);
  for (let i = 0; i < 5; i++) run.write(4);
  await read(answer[Symbol.asyncIterator](), 2);
  assert.ok(run.paused);
  it.clock.advance(15_000);
  assert.equal((await run.cancelled).code, "payment_required");
  run.end({ code: "payment_required", message: "test: unpaid" }, 20);
  assert.equal(await codeOf(answer.receipt), "stream_broken");
  await it.done(1);
  assert.equal(it.served[0]!.error?.code, "payment_required");
  assert.equal(it.served[0]!.response, undefined);
  assert.equal((await it.sellerStore.channel(it.channelId))!.unpaid, STEP);
  await it.client.stop();
});

for (
  const [name, change] of Object.entries({
    "signs less than it says": (amount: bigint) => amount - 1n,
    "signs nothing more": () => 1n,
  })
) {
  Deno.test(`a client that ${name} is cut off in mid-stream: voucher_invalid`, async () => {
    const it = await market();
    const { run, answer } = await started(it);
    it.payer.cheat = (payment) => ({
      ...payment,
      voucher: {
        ...payment.voucher!,
        cumulativeAmount: change(payment.voucher!.cumulativeAmount),
      },
    });
    for (let i = 0; i < 3; i++) run.write(4);
    assert.equal((await run.cancelled).code, "voucher_invalid");
    run.end({ code: "voucher_invalid", message: "test: cut" }, 12);
    assert.equal(await codeOf(answer.receipt), "stream_broken");
    await it.done(1);
    assert.equal((await it.sellerStore.channel(it.channelId))!.unpaid, STEP);
    await it.client.stop();
  });
}

Deno.test("a client that pays less than is due is cut off: voucher_invalid", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  it.payer.cheat = (payment) => ({ ...payment, paid: payment.paid - 1n });
  for (let i = 0; i < 3; i++) run.write(4);
  assert.equal((await run.cancelled).code, "voucher_invalid");
  run.end({ code: "voucher_invalid", message: "test: cut" }, 12);
  assert.equal(await codeOf(answer.receipt), "stream_broken");
  await it.client.stop();
});

Deno.test("a client that does not pay in advance, or brings no voucher for it, is not served", async () => {
  for (
    const [cheat, code] of [
      [{ paid: PREPAY - 1n }, "payment_required"],
      [{ voucher: undefined }, "voucher_invalid"],
    ] as const
  ) {
    const it = await market();
    it.payer.cheat = (payment) => {
      const { voucher, ...rest } = { ...payment, ...cheat };
      return voucher === undefined ? rest : { ...rest, voucher };
    };
    assert.equal(await codeOf(it.client.ask(executor, ask()).receipt), code);
    assert.equal(it.model.runs.length, 0);
    await it.client.stop();
  }
});

Deno.test("a client that acknowledges another request's receipt is cut off: voucher_invalid", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  it.payer.cheat = (payment) => ({
    ...payment,
    receipts: [`0x${"77".repeat(32)}`],
    voucher: { ...payment.voucher!, requests: 1n },
  });
  for (let i = 0; i < 3; i++) run.write(4);
  assert.equal((await run.cancelled).code, "voucher_invalid");
  run.end({ code: "voucher_invalid", message: "test: cut" }, 12);
  assert.equal(await codeOf(answer.receipt), "stream_broken");
  await it.client.stop();
});

Deno.test("a client that does not pay what the receipt comes to has it written off", async () => {
  const it = await market({
    toClient: (message) => decodeExecutorFrame(message).type === "receipt" ? undefined : message,
  });
  const { run, answer } = await started(it);
  run.write(3);
  run.end(undefined, 3);
  await read(answer[Symbol.asyncIterator](), 1);
  while (it.frames.receipt === undefined) await new Promise((resolve) => setTimeout(resolve));
  it.clock.advance(15_000);
  await it.done(1);
  assert.equal(it.served[0]!.error?.code, "payment_required");
  const sold = await it.sellerStore.channel(it.channelId);
  assert.equal(sold!.unpaid, costOf(offer, 5, 3) - PREPAY);
  assert.equal(await codeOf(answer.receipt), "stream_broken");
  await it.client.stop();
});

// Executors that cheat

Deno.test("an executor that demands payment for more than it delivered is not paid: overcharged", async () => {
  const it = await market({
    toClient: (message) => {
      const frame = decodeExecutorFrame(message);
      return frame.type === "due"
        ? encodeDue({ ...frame, outboundTokens: frame.outboundTokens + 1 })
        : message;
    },
  });
  const { run, answer } = await started(it);
  run.write(4);
  assert.equal(await codeOf(answer.receipt), "overcharged");
  assert.deepEqual(it.payer.ends, ["abandon"]);
  assert.equal((await it.buyerStore.channels())[0]!.signed, 1n);
  run.end(await run.cancelled, 4);
  await it.done(1);
  await it.client.stop();
});

Deno.test("an executor that claims more tokens than its text can have is not paid, and its receipt kept", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  run.write(3);
  run.end(undefined, 3 + 16 + 1);
  assert.equal(await codeOf(answer.receipt), "overcharged");
  assert.deepEqual(it.payer.ends, ["dispute"]);
  await it.done(1);
  const [disputed] = await it.buyerStore.history({ limit: 1 });
  assert.equal(disputed!.state, "disputed");
  assert.equal(disputed!.response?.commitment.outboundTokens, 20);
  assert.equal(disputed!.cost, PREPAY);
  await it.client.stop();
});

Deno.test("an executor never signs for more tokens than were asked for, whatever its backend says", async () => {
  const it = await market();
  const { run, answer } = await started(it);
  run.write(3);
  run.end(undefined, 101);
  assert.equal(await codeOf(answer.receipt), "stream_broken");
  await it.done(1);
  assert.equal(it.served[0]!.response, undefined);
  await it.client.stop();
});

Deno.test("a receipt for another text than came is not paid: receipt_invalid", async () => {
  const it = await market({
    toClient: async (message) => {
      const frame = decodeExecutorFrame(message);
      if (frame.type !== "receipt") return message;
      const contentHash = `0x${"55".repeat(32)}` as const;
      const { channelId } = it;
      const changed = { ...frame.response.commitment, contentHash };
      const response = await executorSigner.signResponse(changed, channelId);
      return encodeReceipt({ trailer: frame.trailer, response });
    },
  });
  const { run, answer } = await started(it);
  run.write(3);
  run.end(undefined, 3);
  assert.equal(await codeOf(answer.receipt), "receipt_invalid");
  assert.deepEqual(it.payer.ends, ["abandon"]);
  await it.done(1);
  await it.client.stop();
});
