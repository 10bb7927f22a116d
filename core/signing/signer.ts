/** The {@linkcode Signer} port on given primitives, on the thread that calls it. @module */
import { type Hash, toHex, ZERO_HASH } from "../bytes.ts";
import type { SignedVoucher, Signer } from "../ports.ts";
import { createDomainHashers, type SigningDomains } from "./domains.ts";
import type { Keccak256 } from "./encode.ts";
import type { Primitives } from "./primitives.ts";
import { type Messages, type MessageType, SALT_BYTES, type Voucher } from "./typed_data.ts";

/** {@linkcode LlmRequestCommitment.systemPromptHash}: zero if there is no system prompt. */
export function hashSystemPrompt(keccak256: Keccak256, salt: Uint8Array, text: string): Hash {
  return text === "" ? ZERO_HASH : toHex(keccak256(salt, new TextEncoder().encode(text)));
}

/**
 * Signs messages with one key, in the domain that the message's channel decides. Its promises reject
 * with `TypeError` or `RangeError` for a message that its types cannot hold, a salt that is not 32
 * bytes, or a voucher of another channel than the request that it goes with.
 * @param privateKey 32 bytes; kept, never shown
 * @throws {TypeError | RangeError} for a bad key or domain
 */
export function createSigner(
  primitives: Primitives,
  domains: SigningDomains,
  privateKey: Uint8Array,
): Signer {
  const { keccak256 } = primitives;
  const hasherOf = createDomainHashers(keccak256, domains);
  const address = primitives.addressOf(privateKey);
  const key = privateKey.slice();
  const sign = <T extends MessageType>(channelId: Hash, type: T, message: Messages[T]) => {
    const hasher = hasherOf(channelId);
    const hash = hasher.hashStruct(type, message);
    return { hash: toHex(hash), signature: primitives.sign(hasher.digestOfStruct(hash), key) };
  };
  const signVoucher = (voucher: Voucher): SignedVoucher => ({
    voucher,
    signature: sign(voucher.channelId, "Voucher", voucher).signature,
  });
  return {
    address,
    signRequest: (draft, body, salt, systemPrompt, voucher) =>
      Promise.try(() => {
        if (salt.length !== SALT_BYTES) throw new RangeError("sign request: salt is not 32 bytes");
        if (voucher !== undefined && voucher.channelId !== draft.channelId) {
          throw new RangeError("sign request: the voucher is of another channel");
        }
        const commitment = {
          ...draft,
          promptHash: toHex(keccak256(salt, body)),
          systemPromptHash: hashSystemPrompt(keccak256, salt, systemPrompt),
        };
        const { hash, signature } = sign(draft.channelId, "LlmRequestCommitment", commitment);
        const signed = { commitment, signature, requestHash: hash };
        return voucher === undefined ? signed : { ...signed, voucher: signVoucher(voucher) };
      }),
    signResponse: (commitment, channelId) =>
      Promise.try(() => {
        const { hash, signature } = sign(channelId, "LlmResponseCommitment", commitment);
        return { commitment, signature, responseHash: hash };
      }),
    signVoucher: (voucher) => Promise.try(() => signVoucher(voucher)),
    signConsent: (consent) =>
      Promise.try(() => sign(consent.channelId, "CloseConsent", consent).signature),
    signAnnouncement: (fields, body) =>
      Promise.try(() => {
        const message = { ...fields, executor: address, bodyHash: toHex(keccak256(body)) };
        return sign(ZERO_HASH, "ExecutorAnnouncement", message).signature;
      }),
  };
}
