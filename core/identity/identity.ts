/** A node's key, and the names that follow from it. @module */
import { secp256k1 } from "@noble/curves/secp256k1";
import { type Address, fromHex, toHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { noblePrimitives } from "../signing/noble_primitives.ts";
import { addressOfPeerId, peerIdOfPublicKey } from "./peer_id.ts";

function assertPrivateKey(privateKey: Uint8Array): void {
  if (!secp256k1.utils.isValidSecretKey(privateKey)) {
    throw new LloomError("identity_invalid", "read private key: not a secp256k1 key");
  }
}

/**
 * One secp256k1 key with its two names: the PeerId that the network knows, and the Ethereum address
 * that signatures and payments know. The key is shown by nothing but
 * {@linkcode Identity.exportPrivateKey}: not by JSON, not by inspection, not by errors.
 */
export class Identity {
  readonly #privateKey: Uint8Array;
  /** The libp2p PeerId as text: `16Uiu2HA…`. */
  readonly peerId: string;
  /** The Ethereum address, lower-case. */
  readonly address: Address;

  /**
   * The identity of a key.
   * @param privateKey 32 bytes, copied
   * @throws {LloomError} `identity_invalid` if it is not a secp256k1 key
   */
  constructor(privateKey: Uint8Array) {
    assertPrivateKey(privateKey);
    this.#privateKey = privateKey.slice();
    this.peerId = peerIdOfPublicKey(secp256k1.getPublicKey(privateKey, true));
    this.address = noblePrimitives.addressOf(privateKey);
  }

  /** A copy of the private key: for the signer, the libp2p node and the key file only. */
  exportPrivateKey(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#privateKey);
  }
}

/** A new identity, from the platform's source of randomness. */
export function generateIdentity(): Identity {
  return new Identity(secp256k1.utils.randomSecretKey());
}

/**
 * A private key from text: 64 hex digits of either case, with or without `0x`, and nothing else.
 * @throws {LloomError} `identity_invalid` if it is not a secp256k1 key; never quotes the text
 */
export function parsePrivateKey(text: string): Uint8Array<ArrayBuffer> {
  const digits = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text)?.[1];
  if (digits === undefined) {
    throw new LloomError("identity_invalid", "read private key: not 64 hex digits");
  }
  const privateKey = fromHex(`0x${digits}`);
  assertPrivateKey(privateKey);
  return privateKey;
}

/** Addresses told before, with their checksums: a gateway tells that of its executor with every answer. */
const checksummed = new Map<Address, string>();
const MAX_CHECKSUMMED = 1024;

/** An address with EIP-55's checksum in the case of its letters: for people to read and copy. */
export function toChecksumAddress(address: Address): string {
  const known = checksummed.get(address);
  if (known !== undefined) return known;
  const digits = address.slice(2).toLowerCase();
  const hash = toHex(noblePrimitives.keccak256(new TextEncoder().encode(digits))).slice(2);
  let text = "0x";
  for (let i = 0; i < digits.length; i++) {
    text += parseInt(hash[i]!, 16) >= 8 ? digits[i]!.toUpperCase() : digits[i]!;
  }
  if (checksummed.size === MAX_CHECKSUMMED) checksummed.clear();
  checksummed.set(address, text);
  return text;
}

/** Whether an address may be meant as it is written: in one case, or in both as EIP-55 has it. */
export function isChecksumRight(text: string): boolean {
  const digits = text.slice(2);
  const isOfOneCase = digits === digits.toLowerCase() || digits === digits.toUpperCase();
  return isOfOneCase || text === toChecksumAddress(text.toLowerCase() as Address);
}

/** Whether a text can name a peer: a PeerId, or an address, whose checksum must be right if it has one. */
export function isPeerName(text: string): boolean {
  if (/^0x[0-9a-fA-F]{40}$/.test(text)) return isChecksumRight(text);
  try {
    addressOfPeerId(text);
    return true;
  } catch (error) {
    if (!(error instanceof LloomError)) throw error;
    return false;
  }
}
