/**
 * The append-only Merkle tree over the receipts that a client has acknowledged on a channel. A
 * voucher carries its root, so that one signature acknowledges them all, and each can be shown alone.
 * Shape: RFC 9162, 2.1; a leaf can never be taken for a node.
 * @module
 */
import { fromHex, type Hash, toHex, ZERO_HASH } from "../bytes.ts";
import type { Keccak256 } from "../signing/encode.ts";
import type { Cost } from "./amounts.ts";

const LEAF = new Uint8Array([0]);
const NODE = new Uint8Array([1]);

/** The roots of the tree's whole subtrees, the largest first: all that is needed to append. */
export type Peaks = readonly Hash[];

/** keccak256(0x00 ‖ request hash ‖ response hash ‖ cost as 256 bits). */
export function leafOf(
  keccak256: Keccak256,
  requestHash: Hash,
  responseHash: Hash,
  cost: Cost,
): Hash {
  const word = fromHex(`0x${cost.toString(16).padStart(64, "0")}`);
  return toHex(keccak256(LEAF, fromHex(requestHash), fromHex(responseHash), word));
}

/**
 * The peaks after one more leaf.
 * @param size leaves before it
 */
export function appendLeaf(keccak256: Keccak256, peaks: Peaks, size: number, leaf: Hash): Peaks {
  const left = [...peaks];
  let right = leaf;
  // As in adding one to a binary number, each one-bit at the end is a subtree to be joined.
  for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) {
    right = join(keccak256, left.pop()!, right);
  }
  return [...left, right];
}

/** The root over all leaves; zero for none. */
export function rootOf(keccak256: Keccak256, peaks: Peaks): Hash {
  return peaks.length === 0
    ? ZERO_HASH
    : peaks.reduceRight((right, left) => join(keccak256, left, right));
}

/** What leads from the leaf at `index` to the root: siblings, the nearest first. */
export function inclusionProof(
  keccak256: Keccak256,
  leaves: readonly Hash[],
  index: number,
): readonly Hash[] {
  if (!(index >= 0 && index < leaves.length)) throw new RangeError("prove receipt: no such leaf");
  if (leaves.length === 1) return [];
  const split = splitOf(leaves.length);
  const [near, far] = index < split
    ? [leaves.slice(0, split), leaves.slice(split)]
    : [leaves.slice(split), leaves.slice(0, split)];
  const proof = inclusionProof(keccak256, near, index < split ? index : index - split);
  return [...proof, treeHash(keccak256, far)];
}

/** The root that a proof leads to. Throws `RangeError` for a proof of another length than it must have. */
export function rootOfProof(
  keccak256: Keccak256,
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
): Hash {
  if (!(index >= 0 && index < size)) throw new RangeError("check receipt: no such leaf");
  if (size === 1) {
    if (proof.length !== 0) throw new RangeError("check receipt: the proof is too long");
    return leaf;
  }
  const sibling = proof.at(-1);
  if (sibling === undefined) throw new RangeError("check receipt: the proof is too short");
  const split = splitOf(size);
  const rest = proof.slice(0, -1);
  return index < split
    ? join(keccak256, rootOfProof(keccak256, leaf, index, split, rest), sibling)
    : join(keccak256, sibling, rootOfProof(keccak256, leaf, index - split, size - split, rest));
}

function treeHash(keccak256: Keccak256, leaves: readonly Hash[]): Hash {
  if (leaves.length === 1) return leaves[0]!;
  const split = splitOf(leaves.length);
  return join(
    keccak256,
    treeHash(keccak256, leaves.slice(0, split)),
    treeHash(keccak256, leaves.slice(split)),
  );
}

/** The largest power of two below `size`. */
function splitOf(size: number): number {
  return 2 ** (Math.ceil(Math.log2(size)) - 1);
}

function join(keccak256: Keccak256, left: Hash, right: Hash): Hash {
  return toHex(keccak256(NODE, fromHex(left), fromHex(right)));
}
