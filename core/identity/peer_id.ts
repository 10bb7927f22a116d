/**
 * PeerIds of secp256k1 keys. Such a PeerId contains the public key, so that the Ethereum address
 * follows from it. Written without libp2p, whose key types take 60 ms to load.
 * Format: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
 * @module
 */
import { secp256k1 } from "@noble/curves/secp256k1";
import { base58btc } from "multiformats/bases/base58";
import { type Address, concat, equalBytes } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { noblePrimitives } from "../signing/noble_primitives.ts";
import { addressOfPublicKey } from "../signing/primitives.ts";

/** Identity multihash of 37 bytes, then protobuf: Type (field 1) = Secp256k1 (2), Data (field 2) of 33 bytes. */
const PREFIX = Uint8Array.of(0x00, 0x25, 0x08, 0x02, 0x12, 0x21);
/** 39 bytes take 53 digits of base 58. */
const TEXT_LENGTH = 53;

/** The PeerId of a compressed secp256k1 public key. */
export function peerIdOfPublicKey(publicKey: Uint8Array): string {
  return base58btc.baseEncode(concat([PREFIX, publicKey]));
}

function fail(state: string): never {
  throw new LloomError("identity_invalid", `read peer id: ${state}`);
}

/**
 * The Ethereum address of the key in a PeerId.
 * @param peerId in base 58, as libp2p's `toString` gives it
 * @throws {LloomError} `identity_invalid` for any other text or type of key
 */
export function addressOfPeerId(peerId: string): Address {
  if (peerId.length !== TEXT_LENGTH || !/^[1-9A-HJ-NP-Za-km-z]+$/.test(peerId)) {
    fail("not that of a secp256k1 key");
  }
  const bytes = base58btc.baseDecode(peerId);
  if (bytes.length !== PREFIX.length + 33 || !equalBytes(bytes.subarray(0, 6), PREFIX)) {
    fail("not that of a secp256k1 key");
  }
  const publicKey = bytes.subarray(PREFIX.length);
  if (!secp256k1.utils.isValidPublicKey(publicKey, true)) fail("its key is not on the curve");
  const point = secp256k1.Point.fromBytes(publicKey);
  return addressOfPublicKey(noblePrimitives.keccak256, point.toBytes(false));
}
