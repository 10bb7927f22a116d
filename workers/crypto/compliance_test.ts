/** The compliance suite of the ports Signer and Verifier, over every implementation. */
import assert from "node:assert/strict";
import { concat, fromHex, toHex, ZERO_ADDRESS, ZERO_HASH } from "@lloom/core/bytes";
import { Identity, parsePrivateKey } from "@lloom/core/identity";
import type { Signer, Verifier } from "@lloom/core/ports";
import {
  type ChannelTerms,
  createSigner,
  createTypedDataHasher,
  createVerifier,
  FREE_DOMAIN,
  noblePrimitives,
  type Primitives,
  type SigningDomain,
  type SigningDomains,
} from "@lloom/core/signing";
import fc from "fast-check";
import { hashTypedData, recoverTypedDataAddress, serializeSignature } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import {
  announcements,
  channelTerms,
  closeConsents,
  forViem,
  messages,
  privateKeys,
  requests,
  responses,
  vouchers,
} from "../../tests/support/messages.ts";
import { startCryptoWorkers } from "./crypto_workers.ts";
import { createWasmPrimitives } from "./wasm_primitives.ts";

type Subject = Signer & Verifier & { stop(): void };

const KEY_HEX = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
const KEY = parsePrivateKey(KEY_HEX);
const identity = new Identity(KEY);
const account = privateKeyToAccount(toHex(KEY));
const CHAIN: SigningDomain = {
  ...FREE_DOMAIN,
  chainId: 31337n,
  verifyingContract: `0x${"01".repeat(20)}`,
};
const OTHER_CHAINS: readonly SigningDomain[] = [
  { ...CHAIN, chainId: 1n },
  { ...CHAIN, verifyingContract: `0x${"02".repeat(20)}` },
];
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const wasm = await createWasmPrimitives();

function inline(primitives: Primitives, domains: SigningDomains): Subject {
  const verifier = createVerifier(primitives, domains);
  return { ...createSigner(primitives, domains, KEY), ...verifier, stop() {} };
}
const IMPLEMENTATIONS: { readonly [name: string]: (domains: SigningDomains) => Subject } = {
  "inline, noble": (domains) => inline(noblePrimitives, domains),
  "inline, wasm": (domains) => inline(wasm, domains),
  "workers": (domains) => startCryptoWorkers({ ...domains, identity, size: 2, sandbox: false }),
  "workers without permissions": (domains) =>
    startCryptoWorkers({ ...domains, identity, sandbox: true }),
};

const code = (code: string) => ({ name: "LloomError", code });
const encoder = new TextEncoder();
const salt = new Uint8Array(32).fill(7);
const bodies = fc.uint8Array({ maxLength: 3000 });
const sample = <T>(arbitrary: fc.Arbitrary<T>): T =>
  fc.sample(arbitrary, { numRuns: 1, seed: 1 })[0]!;
const sampleRequest = { ...sample(requests), channelId: ZERO_HASH };
const sampleResponse = sample(responses);
const sampleAnnouncement = sample(announcements);
const sampleConsent = sample(closeConsents);
const { hashStruct } = createTypedDataHasher(noblePrimitives.keccak256, FREE_DOMAIN);
const sampleTerms: ChannelTerms = {
  ...sample(channelTerms),
  executor: sampleRequest.executor,
  signer: identity.address,
};
const channelId = toHex(hashStruct("ChannelTerms", sampleTerms));
const otherChannel = toHex(hashStruct("ChannelTerms", { ...sampleTerms, salt: 7n }));
const sampleVoucher = { ...sample(vouchers), channelId };
const paidRequest = { ...sampleRequest, channelId };
const stranger = createSigner(noblePrimitives, { payment: CHAIN }, new Uint8Array(32).fill(9));
/** Free, and paid for. */
const channelIds = fc.oneof(fc.constant(ZERO_HASH), fc.constant(channelId));
const domainOfChannel = (id: string) => id === ZERO_HASH ? FREE_DOMAIN : CHAIN;
const keccak = (...parts: Uint8Array[]) => toHex(noblePrimitives.keccak256(...parts));

/** Variants of a signature that some verifiers accept. */
function forgeries(signature: Uint8Array): { readonly [name: string]: Uint8Array } {
  const change = (at: number, bytes: Uint8Array) => {
    const copy = signature.slice();
    copy.set(bytes, at);
    return copy;
  };
  const word = (value: bigint) => Uint8Array.fromHex(value.toString(16).padStart(64, "0"));
  const s = BigInt(toHex(signature.subarray(32, 64)));
  const id = signature[64]!;
  const highS = change(32, word(ORDER - s));
  return {
    "high s": highS,
    "high s, recovery id flipped": concat([highS.subarray(0, 64), Uint8Array.of(1 - id)]),
    "v of 27 and 28": change(64, Uint8Array.of(27 + id)),
    "recovery id 2": change(64, Uint8Array.of(2 + id)),
    "r = 0": change(0, new Uint8Array(32)),
    "s = 0": change(32, new Uint8Array(32)),
    "r = n": change(0, word(ORDER)),
    "s = n": change(32, word(ORDER)),
    "r + n": change(0, new Uint8Array(32).fill(255)),
    "r not on the curve": change(0, word(5n)),
    "64 bytes": signature.slice(0, 64),
    "66 bytes": concat([signature, new Uint8Array(1)]),
    "no bytes": new Uint8Array(0),
  };
}

const ANY = {
  request: requests,
  response: responses,
  announcement: announcements,
  voucher: vouchers,
  consent: closeConsents,
};

for (const [name, create] of Object.entries(IMPLEMENTATIONS)) {
  const test = (criterion: string, run: (subject: Subject) => Promise<void>): void =>
    Deno.test(`${name}: ${criterion}`, async () => {
      const subject = create({ payment: CHAIN });
      try {
        await run(subject);
      } finally {
        subject.stop();
      }
    });

  test("a signed request verifies, and its hashes are those of its content", async (subject) => {
    await fc.assert(
      fc.asyncProperty(requests, channelIds, bodies, fc.string(), async (...all) => {
        const [some, channelId, body, system] = all;
        const draft = { ...some, channelId };
        const signed = await subject.signRequest(draft, body, salt, system);
        const { commitment, requestHash } = signed;
        assert.deepEqual(commitment, {
          ...draft,
          promptHash: keccak(salt, body),
          systemPromptHash: system === "" ? ZERO_HASH : keccak(salt, encoder.encode(system)),
        });
        assert.equal(requestHash, toHex(hashStruct("LlmRequestCommitment", commitment)));
        const verified = await subject.verifyRequest(signed, body, salt);
        assert.deepEqual(verified, { client: identity.address, requestHash });
      }),
      { numRuns: 30 },
    );
  });

  test("signatures are viem's, for every message", async (subject) => {
    await fc.assert(
      fc.asyncProperty(fc.record(ANY), channelIds, bodies, async (some, channelId, body) => {
        const domain = domainOfChannel(channelId);
        const voucher = { ...some.voucher, channelId };
        const consent = { ...some.consent, channelId };
        const draft = { ...some.request, channelId };
        const request = await subject.signRequest(draft, body, salt, "", voucher);
        const receipt = await subject.signResponse(some.response, channelId);
        const signedVoucher = await subject.signVoucher(voucher);
        const message = { ...some.announcement, executor: subject.address, bodyHash: keccak(body) };
        const expected = [
          [domain, { type: "LlmRequestCommitment", message: request.commitment }],
          [domain, { type: "LlmResponseCommitment", message: some.response }],
          [domain, { type: "Voucher", message: voucher }],
          [domain, { type: "CloseConsent", message: consent }],
          [FREE_DOMAIN, { type: "ExecutorAnnouncement", message }],
        ] as const;
        const actual = [
          request.signature,
          receipt.signature,
          signedVoucher.signature,
          await subject.signConsent(consent),
          await subject.signAnnouncement(some.announcement, body),
        ];
        assert.deepEqual(receipt.commitment, some.response);
        assert.deepEqual(signedVoucher.voucher, voucher);
        assert.deepEqual(request.voucher, signedVoucher);
        for (const [i, [domain, item]] of expected.entries()) {
          const theirs = await account.signTypedData(forViem(domain, item));
          assert.equal(serialized(actual[i]!), theirs);
        }
      }),
      { numRuns: 20 },
    );
  });

  test("a receipt verifies over its content, however it was cut", async (subject) => {
    await fc.assert(
      fc.asyncProperty(
        responses,
        channelIds,
        fc.array(bodies, { maxLength: 5 }),
        async (...all) => {
          const [some, channelId, content] = all;
          const response = { ...some, contentHash: keccak(...content) };
          const signed = await subject.signResponse(response, channelId);
          const responseHash = toHex(hashStruct("LlmResponseCommitment", response));
          assert.equal(signed.responseHash, responseHash);
          const expected = { executor: identity.address, responseHash };
          assert.deepEqual(await subject.verifyResponse(signed, content, channelId), expected);
          const whole = [concat(content)];
          assert.deepEqual(await subject.verifyResponse(signed, whole, channelId), expected);
        },
      ),
      { numRuns: 20 },
    );
  });

  test("an announcement verifies as that of its signer, whoever it names", async (subject) => {
    const body = encoder.encode("announcement");
    const signature = await subject.signAnnouncement(sampleAnnouncement, body);
    const own = { ...sampleAnnouncement, executor: subject.address };
    const { executor } = await subject.verifyAnnouncement(own, body, signature);
    assert.equal(executor, subject.address);
    const stranger = await subject.verifyAnnouncement(sampleAnnouncement, body, signature);
    assert.notEqual(stranger.executor, subject.address);
  });

  test("a body, salt or content that was not signed is refused", async (subject) => {
    const body = encoder.encode("body");
    const request = await subject.signRequest(sampleRequest, body, salt, "");
    const otherSalt = salt.slice().fill(8, 31);
    const refused = code("request_invalid");
    await assert.rejects(subject.verifyRequest(request, encoder.encode("Body"), salt), refused);
    await assert.rejects(subject.verifyRequest(request, body, otherSalt), refused);
    await assert.rejects(subject.verifyRequest(request, new Uint8Array(0), salt), refused);
    // the same bytes, cut elsewhere
    const longer = concat([salt, body.subarray(0, 1)]);
    await assert.rejects(subject.verifyRequest(request, body.subarray(1), longer), refused);
    const response = await subject.signResponse(
      { ...sampleResponse, contentHash: keccak(body) },
      ZERO_HASH,
    );
    const wrong = code("receipt_invalid");
    await assert.rejects(subject.verifyResponse(response, [], ZERO_HASH), wrong);
    await assert.rejects(
      subject.verifyResponse(response, [body, Uint8Array.of(0)], ZERO_HASH),
      wrong,
    );
  });

  test("signatures that are not canonical are refused, for every message", async (subject) => {
    const body = encoder.encode("body");
    const request = await subject.signRequest(sampleRequest, body, salt, "system");
    const response = await subject.signResponse(
      { ...sampleResponse, contentHash: keccak(body) },
      ZERO_HASH,
    );
    const announced = await subject.signAnnouncement(sampleAnnouncement, body);
    const refused = code("signature_invalid");
    for (const [kind, signature] of Object.entries(forgeries(request.signature))) {
      const call = subject.verifyRequest({ ...request, signature }, body, salt);
      await assert.rejects(call, refused, kind);
    }
    for (const [kind, signature] of Object.entries(forgeries(response.signature))) {
      const call = subject.verifyResponse({ ...response, signature }, [body], ZERO_HASH);
      await assert.rejects(call, refused, kind);
    }
    const { voucher, signature: paid } = await subject.signVoucher(sampleVoucher);
    for (const [kind, signature] of Object.entries(forgeries(paid))) {
      await assert.rejects(subject.verifyVoucher({ voucher, signature }), refused, kind);
    }
    const consented = await subject.signConsent(sampleConsent);
    for (const [kind, signature] of Object.entries(forgeries(consented))) {
      await assert.rejects(subject.verifyConsent(sampleConsent, signature), refused, kind);
    }
    for (const [kind, signature] of Object.entries(forgeries(announced))) {
      const call = subject.verifyAnnouncement(sampleAnnouncement, body, signature);
      await assert.rejects(call, refused, kind);
    }
  });

  test("a flipped recovery id, or any flipped bit, is not the signer's", async (subject) => {
    const body = encoder.encode("body");
    const signed = await subject.signRequest(sampleRequest, body, salt, "");
    for (let bit = 0; bit < 65 * 8; bit += 13) {
      const signature = signed.signature.slice();
      signature[bit >> 3]! ^= 1 << (bit & 7);
      await notTheSigner(subject, { ...signed, signature }, body);
    }
    const signature = signed.signature.slice();
    signature[64]! ^= 1;
    await notTheSigner(subject, { ...signed, signature }, body);
  });

  test("a signature counts on no other chain, and with no other contract", async (subject) => {
    const body = encoder.encode("body");
    const request = await subject.signRequest(paidRequest, body, salt, "");
    const draft = { ...sampleResponse, contentHash: keccak(body) };
    const response = await subject.signResponse(draft, channelId);
    const voucher = await subject.signVoucher(sampleVoucher);
    const consent = await subject.signConsent(sampleConsent);
    for (const payment of OTHER_CHAINS) {
      const other = create({ payment });
      try {
        const verified = await other.verifyRequest(request, body, salt);
        assert.equal(verified.requestHash, request.requestHash);
        const signers = [
          verified.client,
          (await other.verifyResponse(response, [body], channelId)).executor,
          (await other.verifyVoucher(voucher)).signer,
          (await other.verifyConsent(sampleConsent, consent)).executor,
        ];
        assert.ok(!signers.includes(identity.address));
      } finally {
        other.stop();
      }
    }
  });

  test("a receipt of one domain is worth nothing in the other", async (subject) => {
    const body = encoder.encode("body");
    const draft = { ...sampleResponse, contentHash: keccak(body) };
    for (const [signed, claimed] of [[ZERO_HASH, channelId], [channelId, ZERO_HASH]] as const) {
      const response = await subject.signResponse(draft, signed);
      const { executor } = await subject.verifyResponse(response, [body], claimed);
      assert.notEqual(executor, identity.address);
    }
  });

  test("a request signed in the other domain is not its signer's", async (subject) => {
    const body = encoder.encode("body");
    for (const [draft, domain] of [[sampleRequest, CHAIN], [paidRequest, FREE_DOMAIN]] as const) {
      const { commitment } = await subject.signRequest(draft, body, salt, "");
      const item = { type: "LlmRequestCommitment", message: commitment } as const;
      const digest = fromHex(hashTypedData(forViem(domain, item)));
      const signature = noblePrimitives.sign(digest, KEY);
      const { client } = await subject.verifyRequest({ commitment, signature }, body, salt);
      assert.notEqual(client, identity.address);
    }
  });

  test("a node without a chain neither signs nor checks what is about a channel", async () => {
    const subject = create({});
    const body = encoder.encode("body");
    const refused = code("payment_required");
    const signature = new Uint8Array(65).fill(1);
    const commitment = { ...paidRequest, promptHash: keccak(salt, body) };
    try {
      await assert.rejects(subject.signRequest(paidRequest, body, salt, ""), refused);
      await assert.rejects(subject.signResponse(sampleResponse, channelId), refused);
      await assert.rejects(subject.signVoucher(sampleVoucher), refused);
      await assert.rejects(subject.signConsent(sampleConsent), refused);
      await assert.rejects(subject.verifyRequest({ commitment, signature }, body, salt), refused);
      const response = { commitment: sampleResponse, signature };
      await assert.rejects(subject.verifyResponse(response, [body], channelId), refused);
      await assert.rejects(subject.verifyVoucher({ voucher: sampleVoucher, signature }), refused);
      await assert.rejects(subject.verifyConsent(sampleConsent, signature), refused);
      const free = await subject.signRequest(sampleRequest, body, salt, "");
      const { client } = await subject.verifyRequest(free, body, salt);
      assert.equal(client, identity.address);
    } finally {
      subject.stop();
    }
  });

  test("a request and the voucher that pays for it verify together", async (subject) => {
    const body = encoder.encode("body");
    const signed = await subject.signRequest(paidRequest, body, salt, "", sampleVoucher);
    const payment = { terms: sampleTerms, voucher: signed.voucher! };
    const expected = { client: identity.address, requestHash: signed.requestHash };
    assert.deepEqual(await subject.verifyRequest(signed, body, salt, payment), expected);
    const without = { terms: sampleTerms };
    assert.deepEqual(await subject.verifyRequest(signed, body, salt, without), expected);
    const { signer } = await subject.verifyVoucher(signed.voucher!);
    assert.equal(signer, identity.address);
    const consent = await subject.signConsent(sampleConsent);
    const { executor } = await subject.verifyConsent(sampleConsent, consent);
    assert.equal(executor, identity.address);
  });

  test("terms that are not the channel's are refused", async (subject) => {
    const body = encoder.encode("body");
    const signed = await subject.signRequest(paidRequest, body, salt, "");
    const refused = code("request_invalid");
    for (const change of [{ salt: 7n }, { closeDelay: 1 }, { client: ZERO_ADDRESS }]) {
      const payment = { terms: { ...sampleTerms, ...change } };
      await assert.rejects(subject.verifyRequest(signed, body, salt, payment), refused);
    }
    const free = await subject.signRequest(sampleRequest, body, salt, "");
    const payment = { terms: sampleTerms };
    await assert.rejects(subject.verifyRequest(free, body, salt, payment), refused);
    const elsewhere = { ...paidRequest, executor: ZERO_ADDRESS };
    const misled = await subject.signRequest(elsewhere, body, salt, "");
    await assert.rejects(subject.verifyRequest(misled, body, salt, payment), refused);
  });

  test("a request on the channel of another signer is refused", async (subject) => {
    const body = encoder.encode("body");
    const signed = await stranger.signRequest(paidRequest, body, salt, "");
    const call = subject.verifyRequest(signed, body, salt, { terms: sampleTerms });
    await assert.rejects(call, code("signer_mismatch"));
  });

  test("a voucher of another channel, chain or signer is refused", async (subject) => {
    const body = encoder.encode("body");
    const signed = await subject.signRequest(paidRequest, body, salt, "", sampleVoucher);
    const [elsewhere] = OTHER_CHAINS;
    const abroad = createSigner(noblePrimitives, { payment: elsewhere! }, KEY);
    const bad = [
      await subject.signVoucher({ ...sampleVoucher, channelId: otherChannel }),
      await abroad.signVoucher(sampleVoucher),
      await stranger.signVoucher(sampleVoucher),
      { ...signed.voucher!, voucher: { ...sampleVoucher, cumulativeAmount: 1n } },
    ];
    for (const voucher of bad) {
      const call = subject.verifyRequest(signed, body, salt, { terms: sampleTerms, voucher });
      await assert.rejects(call, code("voucher_invalid"));
    }
    const other = { ...sampleVoucher, channelId: otherChannel };
    await assert.rejects(subject.signRequest(paidRequest, body, salt, "", other), RangeError);
  });

  test("a message that its types cannot hold rejects as a built-in error", async (subject) => {
    const body = new Uint8Array(1);
    const negative = { ...sampleRequest, nonce: -1n };
    await assert.rejects(subject.signRequest(negative, body, salt, ""), RangeError);
    const short = salt.subarray(1);
    await assert.rejects(subject.signRequest(sampleRequest, body, short, ""), RangeError);
    const untyped = { ...sampleResponse, success: 1 as unknown as boolean };
    await assert.rejects(subject.signResponse(untyped, ZERO_HASH), TypeError);
  });

  test("the caller keeps its bytes, and views are taken as they are", async (subject) => {
    const surround = new Uint8Array(1000).fill(1);
    const body = surround.subarray(100, 200);
    const signed = await subject.signRequest(sampleRequest, body, salt, "");
    assert.equal(signed.commitment.promptHash, keccak(salt, new Uint8Array(100).fill(1)));
    await subject.verifyRequest(signed, body, salt);
    const response = await subject.signResponse(
      { ...sampleResponse, contentHash: keccak(body) },
      ZERO_HASH,
    );
    await subject.verifyResponse(response, [body], ZERO_HASH);
    assert.equal(surround.length, 1000);
    assert.equal(salt.length, 32);
    assert.equal(signed.signature.length, 65);
  });

  test("hundreds of calls at once are each answered with their own", async (subject) => {
    await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const body = encoder.encode(`body ${i}`);
      const signed = await subject.signRequest(sampleRequest, body, salt, "");
      assert.equal(signed.commitment.promptHash, keccak(salt, body));
      const { client } = await subject.verifyRequest(signed, body, salt);
      assert.equal(client, identity.address);
    }));
  });

  test("the private key shows neither when inspected nor in errors", async (subject) => {
    const shown = [Deno.inspect(subject, { depth: 9, showHidden: true }), toText(subject)];
    const broken = { ...sampleRequest, model: "\ud800" };
    await assert.rejects(subject.signRequest(broken, new Uint8Array(1), salt, ""), (error) => {
      shown.push(Deno.inspect(error, { depth: 9 }));
      return true;
    });
    for (const text of shown) {
      assert.ok(!text.includes(KEY_HEX.slice(0, 8)), text);
      assert.ok(!text.includes([...KEY.subarray(0, 4)].join(", ")), text);
      assert.ok(!text.includes([...KEY.subarray(0, 4)].join(",")), text);
    }
  });
}

const toText = (value: unknown) =>
  JSON.stringify(value, (_, item) => typeof item === "bigint" ? `${item}` : item);

function serialized(signature: Uint8Array): string {
  return serializeSignature({
    r: toHex(signature.subarray(0, 32)),
    s: toHex(signature.subarray(32, 64)),
    yParity: signature[64]!,
  });
}

async function notTheSigner(
  subject: Verifier,
  request: Parameters<Verifier["verifyRequest"]>[0],
  body: Uint8Array,
): Promise<void> {
  try {
    const { client } = await subject.verifyRequest(request, body, salt);
    assert.notEqual(client, identity.address);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "signature_invalid");
  }
}

Deno.test("both primitives sign and recover as viem does, with any key, in any message", async () => {
  await fc.assert(
    fc.asyncProperty(privateKeys, messages, async (key, item) => {
      const data = forViem(FREE_DOMAIN, item);
      const digest = Uint8Array.fromHex(hashTypedData(data).slice(2));
      const signature = noblePrimitives.sign(digest, key);
      assert.deepEqual(wasm.sign(digest, key), signature);
      const address = noblePrimitives.addressOf(key);
      for (const { addressOf, recover } of [noblePrimitives, wasm]) {
        assert.equal(addressOf(key), address);
        assert.equal(recover(digest, signature), address);
      }
      const theirs = await recoverTypedDataAddress({
        ...data,
        signature: serialized(signature) as `0x${string}`,
      });
      assert.equal(theirs.toLowerCase(), address);
    }),
    { numRuns: 200 },
  );
});

Deno.test("both primitives hash any parts alike", () => {
  fc.assert(fc.property(fc.array(bodies, { maxLength: 4 }), (parts) => {
    assert.deepEqual(wasm.keccak256(...parts), noblePrimitives.keccak256(...parts));
    assert.deepEqual(wasm.keccak256(concat(parts)), noblePrimitives.keccak256(...parts));
  }));
});

Deno.test("both primitives refuse what is not a private key, without quoting it", () => {
  const order = Uint8Array.fromHex(ORDER.toString(16));
  for (const key of [new Uint8Array(32), order, KEY.subarray(1), concat([KEY, KEY])]) {
    for (const { addressOf, sign } of [noblePrimitives, wasm]) {
      const expected = { name: "TypeError", message: "not a private key" };
      assert.throws(() => addressOf(key), expected);
      assert.throws(() => sign(new Uint8Array(32), key), expected);
    }
  }
});
