import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { memoryStreams } from "../../tests/support/memory_stream.ts";
import {
  client,
  code,
  executor,
  FakeChain,
  PAYMENT,
  requestOn,
  termsOf,
  verifier,
} from "../../tests/support/money.ts";
import type { Address } from "../bytes.ts";
import { createMemorySellerStore } from "../payments/books/mod.ts";
import { channelIdOf, createCashier, toCost } from "../payments/mod.ts";
import { type CloseAnswer, encodeCloseAnswer } from "../protocol/channel/mod.ts";
import { CHANNEL_RATE, IDLE_STREAM_MS } from "../protocol/limits.ts";
import { noblePrimitives } from "../signing/mod.ts";
import { requestConsent } from "./close_client.ts";
import { CloseServer } from "./close_server.ts";

const NEVER = new AbortController().signal;

function world() {
  const chain = new FakeChain();
  const clock = new ManualClock();
  const store = createMemorySellerStore(noblePrimitives.keccak256);
  const cashier = createCashier(
    { terms: PAYMENT, executor: executor.address, minDeposit: 1n },
    { store, chain, verifier, clock },
  );
  const server = new CloseServer({ cashier, signer: executor, clock });
  const connect = (peer: Address = client.address) => {
    const [near, far] = memoryStreams();
    return { stream: near, served: server.serve(far, peer) };
  };
  const terms = termsOf(1n);
  const channelId = channelIdOf(terms);
  chain.set(channelId, { status: "open", deposit: 1000n });
  /** Has a request admitted that is paid with 60 units. */
  const admit = async () => {
    const { requestHash, ...request } = await requestOn(channelId, nonce++);
    const signed = await client.signVoucher({
      channelId,
      cumulativeAmount: 60n,
      requests: 0n,
      inboundTokens: 0n,
      outboundTokens: 0n,
      receiptsRoot: `0x${"0".repeat(64)}`,
    });
    return await cashier.admit({
      request,
      requestHash,
      client: client.address,
      payment: { terms, voucher: signed, paid: toCost(60n), first: 0, receipts: [] },
      prepay: 0n,
      maxCost: toCost(100n),
      step: toCost(5n),
    });
  };
  const channel = { channelId, terms, signed: 60n };
  const ask = (stream: ReturnType<typeof connect>["stream"], signed = 60n) =>
    requestConsent(stream, { ...channel, signed }, { verifier, clock }, NEVER);
  return { chain, clock, connect, admit, ask, channel };
}

let nonce = 0n;

Deno.test("an executor agrees to close a channel at what it was paid, once nothing is under way", async () => {
  const { connect, admit, ask, clock, channel } = world();
  const tab = await admit();
  const { stream, served } = connect();
  await assert.rejects(ask(stream), code("overloaded"));
  await tab.close(toCost(60n));
  const { consent, signature } = await ask(stream);
  const nowS = BigInt(clock.now() / 1000);
  assert.deepEqual(consent, {
    channelId: channel.channelId,
    finalAmount: 60n,
    deadline: nowS + 570n,
  });
  assert.equal((await verifier.verifyConsent(consent, signature)).executor, executor.address);
  await assert.rejects(admit(), code("channel_unusable"));
  await stream.close();
  await served;
});

Deno.test("a stranger cannot have a channel closed", async () => {
  const { connect, ask, admit } = world();
  const { stream } = connect(`0x${"dd".repeat(20)}`);
  await assert.rejects(ask(stream), code("channel_unusable"));
  await admit();
});

Deno.test("a client signs nothing away: a consent for more, by another, or of a wrong date is refused", async () => {
  const { clock, channel } = world();
  const nowS = BigInt(clock.now() / 1000);
  const answered = async (
    consent: { finalAmount: bigint; deadline: bigint },
    signer = executor,
    channelId = channel.channelId,
  ) => {
    const signature = await signer.signConsent({ channelId, ...consent });
    return await ask({ type: "consent", ...consent, signature });
  };
  const ask = (answer: CloseAnswer) => {
    const [near, far] = memoryStreams();
    far.send(encodeCloseAnswer(answer));
    return requestConsent(near, channel, { verifier, clock }, NEVER);
  };
  const good = { finalAmount: 60n, deadline: nowS + 570n };
  assert.equal((await answered(good)).consent.finalAmount, 60n);
  await assert.rejects(answered({ ...good, finalAmount: 61n }), code("overcharged"));
  await assert.rejects(answered({ ...good, deadline: nowS }), code("protocol_violation"));
  await assert.rejects(answered({ ...good, deadline: nowS + 631n }), code("protocol_violation"));
  await assert.rejects(answered(good, client), code("signer_mismatch"));
  await assert.rejects(
    answered(good, executor, `0x${"ab".repeat(32)}`),
    code("signer_mismatch"),
  );
  await assert.rejects(
    ask({ type: "consent", ...good, signature: new Uint8Array(65) }),
    code("signature_invalid"),
  );
  await assert.rejects(
    ask({ type: "error", error: { code: "overloaded", message: "busy" } }),
    code("overloaded"),
  );
});

Deno.test("what is no question is answered, one who asks too often is told, and silence ends", async () => {
  const { connect, ask, clock } = world();
  const { stream, served } = connect();
  stream.send(new Uint8Array([0xff]));
  const answer = await stream.next();
  assert.ok(answer !== undefined);
  for (let i = 1; i < CHANNEL_RATE.burst; i++) await ask(stream, 0n);
  await assert.rejects(ask(stream), code("rate_limited"));
  clock.advance(IDLE_STREAM_MS);
  await served;
  await assert.rejects(stream.next(), code("stream_broken"));
});

Deno.test("an abort breaks the stream", async () => {
  const { clock, channel } = world();
  const [near] = memoryStreams();
  const caller = new AbortController();
  const asked = requestConsent(near, channel, { verifier, clock }, caller.signal);
  caller.abort();
  await assert.rejects(asked, code("aborted"));
  await assert.rejects(near.next(), code("stream_broken"));
});
