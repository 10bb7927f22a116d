/** The client's side of `/lloom/channel/1.0.0`: has an executor agree to close a channel. @module */
import { LloomError } from "../errors.ts";
import { exchange } from "../exchange.ts";
import type { BuyerChannel } from "../payments/buyer.ts";
import type { Clock, MessageStream, Verifier } from "../ports.ts";
import { decodeCloseAnswer, encodeClose } from "../protocol/channel/mod.ts";
import { MAX_CLOCK_SKEW_S, MAX_CONSENT_S } from "../protocol/limits.ts";
import type { CloseConsent } from "../signing/typed_data.ts";

/** What asking for a consent works with. */
export interface CloseComponents {
  /** Checks who signed. */
  readonly verifier: Pick<Verifier, "verifyConsent">;
  /** Checks the date. */
  readonly clock: Pick<Clock, "now">;
}

/** An executor's consent to close a channel. */
export interface SignedConsent {
  /** What was signed. */
  readonly consent: CloseConsent;
  /** By the executor: 65 bytes. */
  readonly signature: Uint8Array;
}

/**
 * Asks an executor, on a stream of {@linkcode CHANNEL_PROTOCOL}, to agree that a channel is closed. The
 * executor serves it no more from then on.
 * @param channel as the client's ledger has it
 * @throws {LloomError} what the executor answers; `overcharged` if it wants more than was ever signed
 * for; `signer_mismatch` or `signature_invalid` if it did not sign; `protocol_violation` for a date that
 * the contract will not take; `frame_*`, `stream_broken`, `aborted`, `timeout`
 */
export async function requestConsent(
  stream: MessageStream,
  { channelId, terms, signed }: Pick<BuyerChannel, "channelId" | "terms" | "signed">,
  { verifier, clock }: CloseComponents,
  signal: AbortSignal,
): Promise<SignedConsent> {
  const answer = decodeCloseAnswer(
    await exchange(stream, encodeClose({ terms }), signal, "close channel"),
  );
  if (answer.type === "error") throw LloomError.from(answer.error);
  const { finalAmount, deadline, signature } = answer;
  if (finalAmount > signed) {
    throw new LloomError("overcharged", "close channel: the executor wants more than was signed");
  }
  const nowS = BigInt(Math.floor(clock.now() / 1000));
  if (deadline <= nowS || deadline > nowS + BigInt(MAX_CONSENT_S + MAX_CLOCK_SKEW_S)) {
    throw new LloomError("protocol_violation", "close channel: a consent with an impossible date");
  }
  const consent = { channelId, finalAmount, deadline };
  const { executor } = await verifier.verifyConsent(consent, signature);
  if (executor !== terms.executor) {
    throw new LloomError("signer_mismatch", "close channel: another than its executor consented");
  }
  return { consent, signature };
}
