/**
 * Signs and checks per second, inline and in crypto workers. Rates are per second of CPU time of the
 * whole process: on a busy machine they stay comparable. It also tells how long the first signature
 * of a cold worker takes. Takes a few seconds.
 * @module
 */
import process from "node:process";
import { type Address, toHex, ZERO_ADDRESS, ZERO_HASH } from "@lloom/core/bytes";
import { generateIdentity } from "@lloom/core/identity";
import type { Signer, Verifier } from "@lloom/core/ports";
import { channelIdOf } from "@lloom/core/payments";
import {
  type ChannelTerms,
  createSigner,
  createVerifier,
  FREE_DOMAIN,
  noblePrimitives,
  type SigningDomain,
  type Voucher,
} from "@lloom/core/signing";
import { startCryptoWorkers } from "@lloom/workers/crypto";

const WARM_UP_MS = 250;
const MEASURE_MS = 700;
/** Calls under way at once: enough to keep every worker busy. */
const CONCURRENCY = 32;

interface Rate {
  readonly perCpuSecond: number;
  readonly perSecond: number;
}

/** Repeats a call, several at once, and counts. */
async function measure(call: () => Promise<unknown>): Promise<Rate> {
  const runFor = async (ms: number): Promise<number> => {
    const end = performance.now() + ms;
    let count = 0;
    const loop = async () => {
      for (; performance.now() < end; count++) await call();
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, loop));
    return count;
  };
  await runFor(WARM_UP_MS);
  const start = performance.now();
  const before = process.cpuUsage();
  const count = await runFor(MEASURE_MS);
  const { user, system } = process.cpuUsage(before);
  return {
    perCpuSecond: Math.round(count / ((user + system) / 1e6)),
    perSecond: Math.round(count / ((performance.now() - start) / 1000)),
  };
}

const identity = generateIdentity();
const executor: Address = `0x${"12".repeat(20)}`;
const salt = crypto.getRandomValues(new Uint8Array(32));
const body = crypto.getRandomValues(new Uint8Array(2048));
const draft = {
  channelId: ZERO_HASH,
  executor,
  model: "gpt-oss-20b",
  maxTokens: 1024,
  temperature: 7000,
  inboundPrice: 100_000n,
  outboundPrice: 400_000n,
  nonce: 1n,
  deadline: 1_767_225_600n,
};

/** A chain's, as far as signing goes. */
const payment: SigningDomain = { ...FREE_DOMAIN, chainId: 1n, verifyingContract: executor };
const terms: ChannelTerms = {
  client: identity.address,
  executor,
  asset: ZERO_ADDRESS,
  signer: identity.address,
  closeDelay: 3600,
  salt: 1n,
};
const channelId = channelIdOf(terms);
const voucher: Voucher = {
  channelId,
  cumulativeAmount: 123_456_789n,
  requests: 10n,
  inboundTokens: 570n,
  outboundTokens: 9130n,
  receiptsRoot: ZERO_HASH,
};

const content = [body];
const response = {
  requestHash: ZERO_HASH,
  client: executor,
  model: "gpt-oss-20b",
  contentHash: toHex(noblePrimitives.keccak256(body)),
  inboundTokens: 1,
  outboundTokens: 2,
  inboundPrice: 3n,
  outboundPrice: 4n,
  timestamp: 5n,
  success: true,
};

async function benchmark(subject: Signer & Verifier) {
  const request = await subject.signRequest(draft, body, salt, "");
  const receipt = await subject.signResponse(response, ZERO_HASH);
  const paidDraft = { ...draft, channelId };
  const paid = await subject.signRequest(paidDraft, body, salt, "", voucher);
  const signed = await subject.signVoucher(voucher);
  return {
    signRequest: await measure(() => subject.signRequest(draft, body, salt, "")),
    signRequestAndVoucher: await measure(() =>
      subject.signRequest(paidDraft, body, salt, "", voucher)
    ),
    signVoucher: await measure(() => subject.signVoucher(voucher)),
    verifyRequest: await measure(() => subject.verifyRequest(request, body, salt)),
    verifyRequestAndVoucher: await measure(() =>
      subject.verifyRequest(paid, body, salt, { terms, voucher: signed })
    ),
    verifyVoucher: await measure(() => subject.verifyVoucher(signed)),
    verifyResponse: await measure(() => subject.verifyResponse(receipt, content, ZERO_HASH)),
  };
}

async function withWorkers(size: number) {
  const started = performance.now();
  const workers = startCryptoWorkers({ identity, payment, size, sandbox: true });
  await workers.signResponse(response, ZERO_HASH);
  const firstSignatureMs = Math.round(performance.now() - started);
  try {
    return { firstSignatureMs, ...await benchmark(workers) };
  } finally {
    workers.stop();
  }
}

/** What signing and checking costs, inline and in workers. */
export type CryptoResult = Awaited<ReturnType<typeof benchCrypto>>;

/** Measures all. */
export async function benchCrypto() {
  const inline = await benchmark({
    ...createSigner(noblePrimitives, { payment }, identity.exportPrivateKey()),
    ...createVerifier(noblePrimitives, { payment }),
  });
  const worker = await withWorkers(1);
  const workers = await withWorkers(2);
  return { bodyBytes: body.length, inline, "1 worker": worker, "2 workers": workers };
}

/** Prints the result for people. */
export function printCrypto(result: CryptoResult): void {
  const { inline, "1 worker": worker, "2 workers": workers } = result;
  const ratio = (rate: Rate, base: Rate) => (rate.perCpuSecond / base.perCpuSecond).toFixed(1);
  const operations = Object.keys(inline) as (keyof typeof inline)[];
  console.table(Object.fromEntries(operations.map((operation) => [operation, {
    "inline / CPU s": inline[operation].perCpuSecond,
    "1 worker / CPU s": worker[operation].perCpuSecond,
    "2 workers / CPU s": workers[operation].perCpuSecond,
    "1 worker : inline": ratio(worker[operation], inline[operation]),
    "inline / s": inline[operation].perSecond,
    "1 worker / s": worker[operation].perSecond,
    "2 workers / s": workers[operation].perSecond,
  }])));
  console.log(`first signature of a cold worker: ${worker.firstSignatureMs} ms`);
}
