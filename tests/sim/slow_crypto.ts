/** Signing and checking that take time, as in a worker. @module */
import type { Signer, Verifier } from "@lloom/core/ports";
import type { LlmResponseCommitment, Voucher } from "@lloom/core/signing";
import { DELAYS, type Life, type Scheduler } from "./scheduler.ts";

/** Told of what is signed. */
export interface SigningObserver {
  readonly onVoucher?: (voucher: Voucher) => void;
  readonly onReceipt?: (receipt: LlmResponseCommitment) => void;
}

/** A signer that takes time. */
export function slowSigner(
  signer: Signer,
  scheduler: Scheduler,
  life: Life,
  { onVoucher, onReceipt }: SigningObserver = {},
): Signer {
  const wait = (label: string) => scheduler.wait(life, DELAYS.crypto, `sign ${label}`);
  return {
    address: signer.address,
    async signRequest(draft, body, salt, systemPrompt, voucher) {
      await wait("request");
      if (voucher !== undefined) onVoucher?.(voucher);
      return await signer.signRequest(draft, body, salt, systemPrompt, voucher);
    },
    async signResponse(commitment, channelId) {
      await wait("receipt");
      onReceipt?.(commitment);
      return await signer.signResponse(commitment, channelId);
    },
    async signVoucher(voucher) {
      await wait("voucher");
      onVoucher?.(voucher);
      return await signer.signVoucher(voucher);
    },
    async signConsent(consent) {
      await wait("consent");
      return await signer.signConsent(consent);
    },
    signAnnouncement: (fields, body) => signer.signAnnouncement(fields, body),
  };
}

/** A verifier that takes time. */
export function slowVerifier(verifier: Verifier, scheduler: Scheduler, life: Life): Verifier {
  const after = async <T>(label: string, check: () => Promise<T>): Promise<T> => {
    await scheduler.wait(life, DELAYS.crypto, `verify ${label}`);
    return await check();
  };
  return {
    verifyRequest: (...args) => after("request", () => verifier.verifyRequest(...args)),
    verifyResponse: (...args) => after("receipt", () => verifier.verifyResponse(...args)),
    verifyVoucher: (...args) => after("voucher", () => verifier.verifyVoucher(...args)),
    verifyConsent: (...args) => after("consent", () => verifier.verifyConsent(...args)),
    verifyAnnouncement: (...args) => verifier.verifyAnnouncement(...args),
  };
}
