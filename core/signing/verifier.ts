/** The {@linkcode Verifier} port on given primitives, on the thread that calls it. @module */
import { type Address, concat, type Hash, toHex, ZERO_HASH } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { ChannelPayment, SignedVoucher, Verifier } from "../ports.ts";
import { createDomainHashers, type SigningDomains } from "./domains.ts";
import { assertCanonical, type Primitives } from "./primitives.ts";
import {
  type LlmRequestCommitment,
  type Messages,
  type MessageType,
  SALT_BYTES,
} from "./typed_data.ts";

/**
 * Checks messages in the domain that each message's channel decides. Its promises reject with
 * `TypeError` or `RangeError` for a message that its types cannot hold: the decoder of the frame has
 * excluded that.
 * @throws {TypeError | RangeError} for a bad domain
 */
export function createVerifier(primitives: Primitives, domains: SigningDomains): Verifier {
  const { keccak256 } = primitives;
  const hasherOf = createDomainHashers(keccak256, domains);
  const recover = <T extends MessageType>(
    channelId: Hash,
    type: T,
    message: Messages[T],
    signature: Uint8Array,
  ): { readonly hash: Hash; readonly signer: Address } => {
    assertCanonical(signature);
    const hasher = hasherOf(channelId);
    const hash = hasher.hashStruct(type, message);
    return {
      hash: toHex(hash),
      signer: primitives.recover(hasher.digestOfStruct(hash), signature),
    };
  };
  const recoverVoucher = ({ voucher, signature }: SignedVoucher): Address =>
    recover(voucher.channelId, "Voucher", voucher, signature).signer;

  const checkTerms = (
    { channelId, executor }: LlmRequestCommitment,
    { terms, voucher }: ChannelPayment,
  ): void => {
    const hash = hasherOf(channelId).hashStruct("ChannelTerms", terms);
    if (toHex(hash) !== channelId || terms.executor !== executor) {
      throw new LloomError("request_invalid", "verify request: the terms are of another channel");
    }
    if (voucher !== undefined && voucher.voucher.channelId !== channelId) {
      throw new LloomError("voucher_invalid", "verify request: a voucher of another channel");
    }
  };

  return {
    // The cheap checks come first, the one whose cost the peer chooses comes last.
    verifyRequest: ({ commitment, signature }, body, salt, payment) =>
      Promise.try(() => {
        assertCanonical(signature);
        if (salt.length !== SALT_BYTES) {
          throw new LloomError("request_invalid", "verify request: salt is not 32 bytes");
        }
        if (payment !== undefined) checkTerms(commitment, payment);
        const { channelId } = commitment;
        const { hash, signer } = recover(channelId, "LlmRequestCommitment", commitment, signature);
        if (payment !== undefined && payment.terms.signer !== signer) {
          throw new LloomError(
            "signer_mismatch",
            "verify request: signed by another than its channel's signer",
          );
        }
        if (payment?.voucher !== undefined && recoverVoucher(payment.voucher) !== signer) {
          throw new LloomError(
            "voucher_invalid",
            "verify request: the voucher is not its signer's",
          );
        }
        if (toHex(keccak256(salt, body)) !== commitment.promptHash) {
          throw new LloomError("request_invalid", "verify request: body is not the one signed");
        }
        return { client: signer, requestHash: hash };
      }),
    verifyResponse: ({ commitment, signature }, content, channelId) =>
      Promise.try(() => {
        const { hash, signer } = recover(
          channelId,
          "LlmResponseCommitment",
          commitment,
          signature,
        );
        if (toHex(keccak256(concat(content))) !== commitment.contentHash) {
          throw new LloomError("receipt_invalid", "verify response: content is not the one signed");
        }
        return { executor: signer, responseHash: hash };
      }),
    verifyVoucher: (signed) => Promise.try(() => ({ signer: recoverVoucher(signed) })),
    verifyConsent: (consent, signature) =>
      Promise.try(() => ({
        executor: recover(consent.channelId, "CloseConsent", consent, signature).signer,
      })),
    verifyAnnouncement: (fields, body, signature) =>
      Promise.try(() => {
        const message = { ...fields, bodyHash: toHex(keccak256(body)) };
        const { signer } = recover(ZERO_HASH, "ExecutorAnnouncement", message, signature);
        return { executor: signer };
      }),
  };
}
