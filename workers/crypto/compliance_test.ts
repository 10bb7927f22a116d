/** The compliance suite of the ports Signer and Verifier, over every implementation. */
import assert from "node:assert/strict";
import { concat, toHex, ZERO_HASH } from "@lloom/core/bytes";
import { Identity, parsePrivateKey } from "@lloom/core/identity";
import type { Signer, Verifier } from "@lloom/core/ports";
import {
  createSigner,
  createTypedDataHasher,
  createVerifier,
  FREE_DOMAIN,
  noblePrimitives,
  type Primitives,
  type SigningDomain,
} from "@lloom/core/signing";
import fc from "fast-check";
import { hashTypedData, recoverTypedDataAddress, serializeSignature } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import {
  announcements,
  forViem,
  messages,
  privateKeys,
  requests,
  responses,
} from "../../tests/support/messages.ts";
import { startCryptoWorkers } from "./crypto_workers.ts";
import { createWasmPrimitives } from "./wasm_primitives.ts";

type Subject = Signer & Verifier & { stop(): void };

const KEY_HEX = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
const KEY = parsePrivateKey(KEY_HEX);
const identity = new Identity(KEY);
const account = privateKeyToAccount(toHex(KEY));
const OTHER_DOMAINS: readonly SigningDomain[] = [
  { ...FREE_DOMAIN, chainId: 1n },
  { ...FREE_DOMAIN, verifyingContract: `0x${"01".repeat(20)}` },
];
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const wasm = await createWasmPrimitives();

function inline(primitives: Primitives, domain: SigningDomain): Subject {
  const verifier = createVerifier(primitives, domain);
  return { ...createSigner(primitives, domain, KEY), ...verifier, stop() {} };
}
const IMPLEMENTATIONS: { readonly [name: string]: (domain: SigningDomain) => Subject } = {
  "inline, noble": (domain) => inline(noblePrimitives, domain),
  "inline, wasm": (domain) => inline(wasm, domain),
  "workers": (domain) => startCryptoWorkers({ domain, identity, size: 2, sandbox: false }),
  "workers without permissions": (domain) =>
    startCryptoWorkers({ domain, identity, sandbox: true }),
};

const code = (code: string) => ({ name: "LloomError", code });
const encoder = new TextEncoder();
const salt = new Uint8Array(32).fill(7);
const bodies = fc.uint8Array({ maxLength: 3000 });
const [sampleRequest] = fc.sample(requests, { numRuns: 1, seed: 1 });
const [sampleResponse] = fc.sample(responses, { numRuns: 1, seed: 2 });
const [sampleAnnouncement] = fc.sample(announcements, { numRuns: 1, seed: 3 });
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

for (const [name, create] of Object.entries(IMPLEMENTATIONS)) {
  const test = (criterion: string, run: (subject: Subject) => Promise<void>): void =>
    Deno.test(`${name}: ${criterion}`, async () => {
      const subject = create(FREE_DOMAIN);
      try {
        await run(subject);
      } finally {
        subject.stop();
      }
    });

  test("a signed request verifies, and its hashes are those of its content", async (subject) => {
    await fc.assert(
      fc.asyncProperty(requests, bodies, fc.string(), async (draft, body, system) => {
        const signed = await subject.signRequest(draft, body, salt, system);
        const { commitment, requestHash } = signed;
        assert.deepEqual(commitment, {
          ...draft,
          promptHash: keccak(salt, body),
          systemPromptHash: system === "" ? ZERO_HASH : keccak(salt, encoder.encode(system)),
        });
        const hasher = createTypedDataHasher(noblePrimitives.keccak256, FREE_DOMAIN);
        assert.equal(requestHash, toHex(hasher.hashStruct("LlmRequestCommitment", commitment)));
        const verified = await subject.verifyRequest(signed, body, salt);
        assert.deepEqual(verified, { client: identity.address, requestHash });
      }),
      { numRuns: 30 },
    );
  });

  test("signatures are viem's, for every message", async (subject) => {
    await fc.assert(
      fc.asyncProperty(requests, responses, announcements, bodies, async (...all) => {
        const [draft, response, announcement, body] = all;
        const request = await subject.signRequest(draft, body, salt, "");
        const receipt = await subject.signResponse(response);
        const message = { ...announcement, executor: subject.address, bodyHash: keccak(body) };
        const expected = [
          { type: "LlmRequestCommitment", message: request.commitment },
          { type: "LlmResponseCommitment", message: response },
          { type: "ExecutorAnnouncement", message },
        ] as const;
        const actual = [
          request.signature,
          receipt.signature,
          await subject.signAnnouncement(announcement, body),
        ];
        assert.deepEqual(receipt.commitment, response);
        for (const [i, item] of expected.entries()) {
          const theirs = await account.signTypedData(forViem(FREE_DOMAIN, item));
          assert.equal(serialized(actual[i]!), theirs);
        }
      }),
      { numRuns: 20 },
    );
  });

  test("a receipt verifies over its content, however it was cut", async (subject) => {
    await fc.assert(
      fc.asyncProperty(responses, fc.array(bodies, { maxLength: 5 }), async (response, content) => {
        const contentHash = keccak(...content);
        const signed = await subject.signResponse({ ...response, contentHash });
        const executor = identity.address;
        assert.deepEqual(await subject.verifyResponse(signed, content), { executor });
        assert.deepEqual(await subject.verifyResponse(signed, [concat(content)]), { executor });
      }),
      { numRuns: 20 },
    );
  });

  test("an announcement verifies as that of its signer, whoever it names", async (subject) => {
    const body = encoder.encode("announcement");
    const signature = await subject.signAnnouncement(sampleAnnouncement!, body);
    const own = { ...sampleAnnouncement!, executor: subject.address };
    const { executor } = await subject.verifyAnnouncement(own, body, signature);
    assert.equal(executor, subject.address);
    const stranger = await subject.verifyAnnouncement(sampleAnnouncement!, body, signature);
    assert.notEqual(stranger.executor, subject.address);
  });

  test("a body, salt or content that was not signed is refused", async (subject) => {
    const body = encoder.encode("body");
    const request = await subject.signRequest(sampleRequest!, body, salt, "");
    const otherSalt = salt.slice().fill(8, 31);
    const refused = code("request_invalid");
    await assert.rejects(subject.verifyRequest(request, encoder.encode("Body"), salt), refused);
    await assert.rejects(subject.verifyRequest(request, body, otherSalt), refused);
    await assert.rejects(subject.verifyRequest(request, new Uint8Array(0), salt), refused);
    // the same bytes, cut elsewhere
    const longer = concat([salt, body.subarray(0, 1)]);
    await assert.rejects(subject.verifyRequest(request, body.subarray(1), longer), refused);
    const response = await subject.signResponse({ ...sampleResponse!, contentHash: keccak(body) });
    const wrong = code("receipt_invalid");
    await assert.rejects(subject.verifyResponse(response, []), wrong);
    await assert.rejects(subject.verifyResponse(response, [body, Uint8Array.of(0)]), wrong);
  });

  test("signatures that are not canonical are refused, for every message", async (subject) => {
    const body = encoder.encode("body");
    const request = await subject.signRequest(sampleRequest!, body, salt, "system");
    const response = await subject.signResponse({ ...sampleResponse!, contentHash: keccak(body) });
    const announced = await subject.signAnnouncement(sampleAnnouncement!, body);
    const refused = code("signature_invalid");
    for (const [kind, signature] of Object.entries(forgeries(request.signature))) {
      const call = subject.verifyRequest({ ...request, signature }, body, salt);
      await assert.rejects(call, refused, kind);
    }
    for (const [kind, signature] of Object.entries(forgeries(response.signature))) {
      const call = subject.verifyResponse({ ...response, signature }, [body]);
      await assert.rejects(call, refused, kind);
    }
    for (const [kind, signature] of Object.entries(forgeries(announced))) {
      const call = subject.verifyAnnouncement(sampleAnnouncement!, body, signature);
      await assert.rejects(call, refused, kind);
    }
  });

  test("a flipped recovery id, or any flipped bit, is not the signer's", async (subject) => {
    const body = encoder.encode("body");
    const signed = await subject.signRequest(sampleRequest!, body, salt, "");
    for (let bit = 0; bit < 65 * 8; bit += 13) {
      const signature = signed.signature.slice();
      signature[bit >> 3]! ^= 1 << (bit & 7);
      await notTheSigner(subject, { ...signed, signature }, body);
    }
    const signature = signed.signature.slice();
    signature[64]! ^= 1;
    await notTheSigner(subject, { ...signed, signature }, body);
  });

  test("a signature counts in no other domain", async (subject) => {
    const body = encoder.encode("body");
    const signed = await subject.signRequest(sampleRequest!, body, salt, "");
    for (const domain of OTHER_DOMAINS) {
      const other = create(domain);
      const verified = await other.verifyRequest(signed, body, salt);
      other.stop();
      assert.notEqual(verified.client, identity.address);
      assert.equal(verified.requestHash, signed.requestHash);
    }
  });

  test("a message that its types cannot hold rejects as a built-in error", async (subject) => {
    const body = new Uint8Array(1);
    const negative = { ...sampleRequest!, nonce: -1n };
    await assert.rejects(subject.signRequest(negative, body, salt, ""), RangeError);
    const short = salt.subarray(1);
    await assert.rejects(subject.signRequest(sampleRequest!, body, short, ""), RangeError);
    const untyped = { ...sampleResponse!, success: 1 as unknown as boolean };
    await assert.rejects(subject.signResponse(untyped), TypeError);
  });

  test("the caller keeps its bytes, and views are taken as they are", async (subject) => {
    const surround = new Uint8Array(1000).fill(1);
    const body = surround.subarray(100, 200);
    const signed = await subject.signRequest(sampleRequest!, body, salt, "");
    assert.equal(signed.commitment.promptHash, keccak(salt, new Uint8Array(100).fill(1)));
    await subject.verifyRequest(signed, body, salt);
    const response = await subject.signResponse({ ...sampleResponse!, contentHash: keccak(body) });
    await subject.verifyResponse(response, [body]);
    assert.equal(surround.length, 1000);
    assert.equal(salt.length, 32);
    assert.equal(signed.signature.length, 65);
  });

  test("hundreds of calls at once are each answered with their own", async (subject) => {
    await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const body = encoder.encode(`body ${i}`);
      const signed = await subject.signRequest(sampleRequest!, body, salt, "");
      assert.equal(signed.commitment.promptHash, keccak(salt, body));
      const { client } = await subject.verifyRequest(signed, body, salt);
      assert.equal(client, identity.address);
    }));
  });

  test("the private key shows neither when inspected nor in errors", async (subject) => {
    const shown = [Deno.inspect(subject, { depth: 9, showHidden: true }), toText(subject)];
    const broken = { ...sampleRequest!, model: "\ud800" };
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
