import assert from "node:assert/strict";
import fc from "fast-check";
import { hashStruct, hashTypedData } from "viem";
import { domains, forViem, messages, requests } from "../../tests/support/messages.ts";
import { toHex } from "../bytes.ts";
import { createTypedDataHasher } from "./encode.ts";
import { noblePrimitives } from "./noble_primitives.ts";
import { FREE_DOMAIN, type LlmRequestCommitment, type Messages, TYPES } from "./typed_data.ts";

const { keccak256 } = noblePrimitives;
const free = createTypedDataHasher(keccak256, FREE_DOMAIN);

Deno.test("digests and struct hashes equal viem's, for any message in any domain", () => {
  fc.assert(
    fc.property(domains, messages, (domain, item) => {
      const hasher = createTypedDataHasher(keccak256, domain);
      const digest = toHex(hasher.digest(item.type, item.message));
      assert.equal(digest, hashTypedData(forViem(domain, item)));
    }),
    { numRuns: 1500 },
  );
  fc.assert(
    fc.property(messages, (item) => {
      const { message: data, primaryType, types } = forViem(FREE_DOMAIN, item);
      const expected = hashStruct({ data: data as Record<string, unknown>, primaryType, types });
      assert.equal(toHex(free.hashStruct(item.type, item.message)), expected);
    }),
    { numRuns: 1500 },
  );
});

Deno.test("a hasher gives the same digest again after other messages", () => {
  fc.assert(fc.property(messages, messages, (first, second) => {
    const digest = free.digest(first.type, first.message);
    const before = toHex(digest);
    free.digest(second.type, second.message);
    assert.equal(toHex(digest), before);
    assert.equal(toHex(free.digest(first.type, first.message)), before);
  }));
});

Deno.test("the digest changes with the chain and with the contract", () => {
  fc.assert(fc.property(domains, domains, messages, (one, other, { type, message }) => {
    const same = one.chainId === other.chainId && one.verifyingContract === other.verifyingContract;
    const digests = [one, other].map((domain) =>
      toHex(createTypedDataHasher(keccak256, domain).digest(type, message))
    );
    assert.equal(digests[0] === digests[1], same);
  }));
});

/** The value with one bit changed, within what its type holds. */
function flip(type: string, value: unknown, bit: number): unknown {
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return (value ^ (1 << bit % 32)) >>> 0;
  if (typeof value === "bigint") return value ^ (1n << BigInt(bit % Number(type.slice(4))));
  const digits = value as string;
  if (type === "string") {
    if (digits === "") return "\0";
    const at = bit % digits.length;
    const code = digits.charCodeAt(at) ^ (1 << bit % 7);
    return digits.slice(0, at) + String.fromCharCode(code) + digits.slice(at + 1);
  }
  const at = 2 + bit % (digits.length - 2);
  const digit = (parseInt(digits[at]!, 16) ^ (1 << bit % 4)).toString(16);
  return digits.slice(0, at) + digit + digits.slice(at + 1);
}

Deno.test("any flipped bit in any field changes the digest", () => {
  fc.assert(
    fc.property(messages, fc.nat(255), ({ type, message }, bit) => {
      const before = toHex(free.digest(type, message));
      for (const field of TYPES[type]) {
        const value = flip(field.type, message[field.name as keyof typeof message], bit);
        if (typeof value === "string" && !value.isWellFormed()) continue;
        const changed = { ...message, [field.name]: value } as Messages[typeof type];
        assert.notEqual(toHex(free.digest(type, changed)), before, field.name);
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("a field that its type cannot hold is refused, and named", () => {
  const [sample] = fc.sample(requests, { numRuns: 1, seed: 1 });
  const bad: { [field: string]: unknown[] } = {
    channelId: ["", "0x", "0x12", `0x${"0".repeat(63)}`, `0x${"0".repeat(65)}`, 1, null],
    executor: [`0x${"g".repeat(40)}`, `0x${"A".repeat(40)}`, `0X${"0".repeat(40)}`, "é".repeat(42)],
    promptHash: [`0x${"0".repeat(63)}\u0130`, new Uint8Array(32)],
    model: ["\ud800", "a\udc00", 1, undefined],
    maxTokens: [-1, 2 ** 32, 0.5, NaN, Infinity, 1n, "1", undefined],
    temperature: [-1, 2 ** 32],
    inboundPrice: [-1n, 2n ** 256n, 1, "1", undefined],
    nonce: [-1n, 2n ** 64n, 1],
    deadline: [2n ** 64n, 2n ** 128n],
  };
  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) {
      const message = { ...sample, [field]: value } as LlmRequestCommitment;
      assert.throws(() => free.hashStruct("LlmRequestCommitment", message), (error) => {
        assert.ok(error instanceof TypeError || error instanceof RangeError);
        assert.ok(error.message.includes(field), error.message);
        return true;
      });
    }
  }
});

Deno.test("a domain that EIP-712 cannot hold is refused", () => {
  const make = (change: object) => () =>
    createTypedDataHasher(keccak256, { ...FREE_DOMAIN, ...change });
  assert.throws(make({ chainId: -1n }), RangeError);
  assert.throws(make({ chainId: 1 }), TypeError);
  assert.throws(make({ verifyingContract: "0x" }), TypeError);
});
