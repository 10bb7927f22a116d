import assert from "node:assert/strict";
import fc from "fast-check";
import { type Hash, toHex, ZERO_HASH } from "../bytes.ts";
import { noblePrimitives } from "../signing/mod.ts";
import { appendLeaf, inclusionProof, leafOf, type Peaks, rootOf, rootOfProof } from "./merkle.ts";

const { keccak256 } = noblePrimitives;
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => toHex(bytes) as Hash);
const leaves = fc.array(hash, { minLength: 1, maxLength: 70 });

function grow(all: readonly Hash[]): Peaks {
  let peaks: Peaks = [];
  all.forEach((leaf, size) => peaks = appendLeaf(keccak256, peaks, size, leaf));
  return peaks;
}

Deno.test("a proof leads from every leaf to the root that appending gives", () => {
  fc.assert(
    fc.property(leaves, (all) => {
      const root = rootOf(keccak256, grow(all));
      all.forEach((leaf, index) => {
        const proof = inclusionProof(keccak256, all, index);
        assert.equal(rootOfProof(keccak256, leaf, index, all.length, proof), root);
      });
    }),
    { numRuns: 20 },
  );
});

Deno.test("a proof leads nowhere for another leaf, another place or another size", () => {
  fc.assert(fc.property(leaves, fc.nat(), hash, (all, n, other) => {
    const index = n % all.length;
    const root = rootOf(keccak256, grow(all));
    const proof = inclusionProof(keccak256, all, index);
    const leads = (leaf: Hash, index: number, size: number) => {
      try {
        return rootOfProof(keccak256, leaf, index, size, proof) === root;
      } catch (error) {
        assert(error instanceof RangeError);
        return false;
      }
    };
    if (other !== all[index]) assert.equal(leads(other, index, all.length), false);
    for (let at = 0; at < all.length; at++) {
      if (all[at] !== all[index]) assert.equal(leads(all[index]!, at, all.length), false);
    }
    assert.equal(leads(all[index]!, index, 2 * all.length + 1), false);
  }));
});

Deno.test("the root of nothing is zero, of one leaf the leaf, of three as RFC 9162 has it", () => {
  const [a, b, c] = ["11", "22", "33"].map((x): Hash => `0x${x.repeat(32)}`) as [Hash, Hash, Hash];
  assert.equal(rootOf(keccak256, []), ZERO_HASH);
  assert.equal(rootOf(keccak256, grow([a])), a);
  const node = (l: Hash, r: Hash) =>
    toHex(keccak256(Uint8Array.fromHex("01" + l.slice(2) + r.slice(2))));
  assert.equal(rootOf(keccak256, grow([a, b, c])), node(node(a, b), c));
});

Deno.test("a leaf binds request, response and cost", () => {
  fc.assert(fc.property(hash, hash, fc.bigInt(0n, 1n << 128n), (request, response, cost) => {
    const leaf = leafOf(keccak256, request, response, cost);
    assert.notEqual(leaf, leafOf(keccak256, request, response, cost + 1n));
    if (request !== response) assert.notEqual(leaf, leafOf(keccak256, response, request, cost));
  }));
});
