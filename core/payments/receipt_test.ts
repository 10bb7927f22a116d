import assert from "node:assert/strict";
import fc from "fast-check";
import { client, code, DOMAIN, executor, termsOf } from "../../tests/support/money.ts";
import { concat, toHex, ZERO_HASH } from "../bytes.ts";
import { Identity } from "../identity/identity.ts";
import { encodeTrailer } from "../protocol/trailer.ts";
import { FREE_DOMAIN, noblePrimitives, type Voucher } from "../signing/mod.ts";
import { costOf } from "./amounts.ts";
import { channelIdOf } from "./channel_id.ts";
import { appendLeaf, inclusionProof, leafOf, type Peaks, rootOf } from "./merkle.ts";
import { receiptFileOf, type ReceiptParts } from "./receipt_file.ts";
import { verifyReceiptFile } from "./verify_receipt.ts";

const { keccak256 } = noblePrimitives;
const utf8 = new TextEncoder();
const salt = new Uint8Array(32).fill(7);
const body = utf8.encode(`{"model":"m","messages":[{"role":"user","content":"Why? ☃"}]}`);
/** What is asked, and the lines that answer it, by kind. */
const EXCHANGES = {
  chat: {
    body,
    lines: `{"choices":[{"index":0,"delta":{"content":"Because "}}]}\n` +
      `{"choices":[{"index":0,"delta":{"content":"snow ☃"}}]}\n`,
  },
  completion: {
    body: utf8.encode(`{"model":"m","prompt":["a","b"]}`),
    lines: `{"choices":[{"index":0,"text":"ab"}]}\n{"choices":[{"index":1,"text":"c"}]}\n`,
  },
  embedding: {
    body: utf8.encode(`{"model":"m","input":"a"}`),
    lines: `{"data":[{"index":0,"embedding":"AACAPw=="}]}\n`,
  },
} as const;
const terms = termsOf(1n);

interface Deal {
  readonly kind?: keyof typeof EXCHANGES;
  readonly free?: boolean;
  readonly outboundTokens?: number;
  /** Receipts acknowledged, and which of them is this one. */
  readonly receipts?: number;
  readonly index?: number;
}

/** A request as two honest nodes, or an executor that claims too much, leave it behind. */
async function partsOf(deal: Deal = {}): Promise<ReceiptParts> {
  const { kind = "chat", free = false, outboundTokens = 3, receipts = 1, index = 0 } = deal;
  const { body, lines } = EXCHANGES[kind];
  const channelId = free ? ZERO_HASH : channelIdOf(terms);
  const price = free ? 0n : 2_000_000n;
  const prices = { inboundPrice: price, outboundPrice: price };
  const { requestHash, ...request } = await client.signRequest(
    {
      channelId,
      executor: executor.address,
      model: "m",
      maxTokens: 100,
      temperature: 0,
      ...prices,
      nonce: 1n,
      deadline: 1_700_000_600n,
    },
    body,
    salt,
    "",
  );
  const content = concat([
    utf8.encode(lines),
    encodeTrailer({
      finish: "stop",
      promptTokens: 5,
      completionTokens: outboundTokens,
      countedBy: "backend",
    }),
  ]);
  const { responseHash, ...response } = await executor.signResponse({
    requestHash,
    client: client.address,
    model: "m",
    contentHash: toHex(keccak256(content)),
    inboundTokens: 5,
    outboundTokens,
    ...prices,
    timestamp: 1_700_000_000n,
    success: true,
  }, channelId);
  const parts = {
    executor: {
      peerId: new Identity(new Uint8Array(32).fill(0xe1)).peerId,
      address: executor.address,
    },
    client: { peerId: new Identity(new Uint8Array(32).fill(0xc1)).peerId, address: client.address },
    domain: free ? FREE_DOMAIN : DOMAIN,
    request,
    salt,
    body,
    response,
    content,
  };
  if (free) return parts;
  const cost = costOf(prices, 5, outboundTokens);
  const leaves = Array.from(
    { length: receipts },
    (_, i) => leafOf(keccak256, requestHash, responseHash, i === index ? cost : BigInt(i)),
  );
  let peaks: Peaks = [];
  leaves.forEach((leaf, i) => peaks = appendLeaf(keccak256, peaks, i, leaf));
  const voucher: Voucher = {
    channelId,
    cumulativeAmount: 99n,
    requests: BigInt(receipts),
    inboundTokens: 5n,
    outboundTokens: 3n,
    receiptsRoot: rootOf(keccak256, peaks),
  };
  const acknowledged = { index, path: inclusionProof(keccak256, leaves, index) };
  return {
    ...parts,
    payment: { terms, cost, voucher: await client.signVoucher(voucher), acknowledged },
  };
}

const bytesOf = (file: unknown) => utf8.encode(JSON.stringify(file));
const verify = (file: unknown) => verifyReceiptFile(bytesOf(file), noblePrimitives);

Deno.test("a free receipt tells who asked what of whom, and what was delivered", async () => {
  const seen = verify(receiptFileOf(await partsOf({ free: true })));
  assert.equal(seen.client, client.address);
  assert.equal(seen.asked.executor, executor.address);
  assert.equal(seen.body, new TextDecoder().decode(body));
  assert.equal(seen.answer, "Because snow ☃");
  assert.equal(seen.trailer?.finish, "stop");
  assert.equal(seen.payment, undefined);
  assert.equal(seen.excess, undefined);
  assert.deepEqual(seen.proofs.map(({ signer, role }) => [signer, role]), [
    [client.address, "client"],
    [executor.address, "executor"],
  ]);
});

Deno.test("a paid receipt tells the price, and that its client has accepted it, wherever it stands", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 70 }), fc.nat(69), async (receipts, at) => {
      const parts = await partsOf({ receipts, index: at % receipts });
      const { payment, proofs } = verify(receiptFileOf(parts));
      assert.equal(payment?.cost, 16_000_000n);
      assert.equal(payment?.payer, client.address);
      assert.equal(payment?.voucher?.cumulativeAmount, 99n);
      assert.equal(proofs.length, 3);
    }),
    { numRuns: 30 },
  );
});

Deno.test("what a file leaves out is not proven, and said so", async () => {
  const { body: _, content: __, ...parts } = await partsOf();
  const { acknowledged: ___, ...payment } = parts.payment!;
  const whole = verify(receiptFileOf(await partsOf()));
  const seen = verify(receiptFileOf({ ...parts, payment }));
  assert.equal(seen.answer, undefined);
  assert.equal(seen.body, undefined);
  assert.equal(seen.payment?.voucher, undefined);
  assert.equal(seen.proofs.length, 2);
  for (const missing of [/what was asked/, /what was answered/, /accepts this receipt/]) {
    assert.ok(seen.unproven.some((one) => missing.test(one)));
    assert.ok(!whole.unproven.some((one) => missing.test(one)));
  }
});

Deno.test("an executor that claims too much is convicted by its own receipt", async () => {
  const beyond = verify(receiptFileOf(await partsOf({ outboundTokens: 101 })));
  assert.equal(beyond.excess, "more tokens than asked for");
  const unseen = verify(receiptFileOf(await partsOf({ outboundTokens: 40 })));
  assert.equal(unseen.excess, "more tokens than the answer can have");
});

Deno.test("receipts for completions and vectors are held to what was asked for and delivered", async () => {
  const excessOf = async (kind: "completion" | "embedding", outboundTokens: number) =>
    verify(receiptFileOf(await partsOf({ kind, outboundTokens }))).excess;
  const completion = verify(receiptFileOf(await partsOf({ kind: "completion" })));
  assert.equal(completion.answer, "ab");
  // Three bytes of text, in two answers.
  assert.equal(await excessOf("completion", 3 + 2 * 16), undefined);
  assert.match((await excessOf("completion", 4 + 2 * 16))!, /than the answer can have/);
  assert.equal(await excessOf("embedding", 0), undefined);
  assert.match((await excessOf("embedding", 1))!, /than the answer can have/);
});

/** The places of all values in a JSON object. */
function* placesIn(value: unknown, path: readonly string[] = []): Generator<readonly string[]> {
  if (typeof value !== "object" || value === null) return yield path;
  for (const [key, inner] of Object.entries(value)) yield* placesIn(inner, [...path, key]);
}

/** Another value in place of one. */
function changed(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "boolean") return !value;
  const text = String(value);
  const last = text.at(-1) === "1" ? "2" : "1";
  return text.slice(0, -1) + last;
}

/** Types are ours, whatever the file says; and these are no part of what was signed. */
const UNSIGNED = ["types", "backend", "timings"];

Deno.test("whatever value of a file is changed, it proves nothing any more", async () => {
  for (const deal of [{ free: true }, { receipts: 5, index: 2 }]) {
    const file = {
      ...receiptFileOf(await partsOf(deal)),
      content: "Because snow ☃",
      model: "m",
      backend: "mock",
      finish: "stop",
      usage: { promptTokens: 5, completionTokens: 3 },
      timings: { ttftMs: 1 },
    };
    verify(file);
    for (const path of placesIn(file)) {
      const copy = structuredClone(file) as Record<string, unknown>;
      let parent = copy;
      for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
      const key = path.at(-1)!;
      parent[key] = changed(parent[key]);
      if (path.some((name) => UNSIGNED.includes(name))) verify(copy);
      else assert.throws(() => verify(copy), code("receipt_invalid"), path.join("."));
    }
  }
});

Deno.test("parts of two receipts make none", async () => {
  const paid = receiptFileOf(await partsOf());
  const free = receiptFileOf(await partsOf({ free: true }));
  const other = receiptFileOf(await partsOf({ outboundTokens: 4 }));
  const { payment: _, ...unpaid } = paid;
  for (
    const mixed of [
      { ...paid, receipt: free.receipt },
      { ...paid, receipt: other.receipt },
      { ...paid, request: free.request },
      { ...paid, payment: other.payment },
      { ...free, payment: paid.payment },
      unpaid,
    ]
  ) assert.throws(() => verify(mixed), code("receipt_invalid"));
});

Deno.test("hostile files give one coded error, and cost no memory", async () => {
  const refused = (bytes: Uint8Array) =>
    assert.throws(() => verifyReceiptFile(bytes, noblePrimitives), code("receipt_invalid"));
  fc.assert(fc.property(fc.uint8Array(), refused));
  fc.assert(fc.property(fc.json(), (text) => refused(utf8.encode(text))));
  refused(utf8.encode("[".repeat(100_000)));
  refused(utf8.encode(`[${"{},".repeat(1_000_000)}{}]`));
  const file = receiptFileOf(await partsOf());
  const path = Array(54).fill(`0x${"00".repeat(32)}`);
  for (
    const payment of [
      { ...file.payment, acknowledged: { index: 0, path } },
      { ...file.payment, acknowledged: { index: -1, path: [] } },
      { ...file.payment, acknowledged: { index: 0, path: "0x" } },
      { ...file.payment, terms: null },
      { ...file.payment, cost: "1e9" },
      { ...file.payment, cost: "9".repeat(1000) },
    ]
  ) refused(bytesOf({ ...file, payment }));
  refused(bytesOf({ ...file, request: { ...file.request, body: "\ud800" } }));
});
