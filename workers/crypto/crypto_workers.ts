/** The {@linkcode Signer} and {@linkcode Verifier} ports in Web Workers. @module */
import { concat } from "@lloom/core/bytes";
import type { Identity } from "@lloom/core/identity";
import type { SignedVoucher, Signer, Verifier } from "@lloom/core/ports";
import type { SigningDomains } from "@lloom/core/signing";
import { WorkerPool } from "../pool.ts";
import { workerOptions } from "../sandbox.ts";
import type { CryptoInit } from "./crypto_task.ts";

/** Options of {@linkcode startCryptoWorkers}. */
export interface CryptoWorkersOptions extends SigningDomains {
  /** Whose key signs. Its key is sent to each worker once, when the worker starts. */
  readonly identity: Identity;
  /** The most workers; they are started as work piles up. @default one less than the processors, from 1 to 4 */
  readonly size?: number;
  /** Whether the workers' permissions are taken away: see {@linkcode workerOptions}. */
  readonly sandbox: boolean;
  /** Calls that may wait for a worker. @default 2048: a thousand requests that come at once, and more */
  readonly maxQueue?: number;
}

/** Signs and checks in workers. */
export interface CryptoWorkers extends Signer, Verifier {
  /** Ends the workers at once; what is under way fails as `shutting_down`. */
  stop(): void;
}

type Methods = Omit<Signer, "address"> & Verifier;

/** A copy to hand over: the caller keeps its bytes, and a view does not drag along what surrounds it. */
const copy = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

const copyOf = ({ voucher, signature }: SignedVoucher): SignedVoucher => ({
  voucher,
  signature: copy(signature),
});

/**
 * Starts to sign and check in workers, without waiting for them: calls queue until one is ready.
 * All methods may also reject with `overloaded`, `worker_crashed` and `shutting_down`.
 */
export function startCryptoWorkers(
  { payment, identity, size, sandbox, maxQueue = 2048 }: CryptoWorkersOptions,
): CryptoWorkers {
  const init: CryptoInit = {
    domains: { ...(payment && { payment }) },
    privateKey: identity.exportPrivateKey(),
  };
  const pool = new WorkerPool<Methods>({
    name: "crypto",
    size: size ?? Math.min(4, Math.max(1, navigator.hardwareConcurrency - 1)),
    init,
    maxQueue,
  }, () => {
    const url = new URL("./crypto_task.ts", import.meta.url);
    return new Worker(url, workerOptions("lloom-crypto", sandbox, "none"));
  });
  pool.start();

  return {
    address: identity.address,
    verifyRequest({ commitment, signature }, body, salt, payment) {
      const bytes = copy(body);
      const request = { commitment, signature: copy(signature) };
      const checked = payment && {
        terms: payment.terms,
        ...(payment.voucher && { voucher: copyOf(payment.voucher) }),
      };
      return pool.call("verifyRequest", [request, bytes, copy(salt), checked], [bytes.buffer]);
    },
    verifyResponse({ commitment, signature }, content, channelId) {
      const bytes = concat(content);
      const response = { commitment, signature: copy(signature) };
      return pool.call("verifyResponse", [response, [bytes], channelId], [bytes.buffer]);
    },
    verifyVoucher: (signed) => pool.call("verifyVoucher", [copyOf(signed)]),
    verifyConsent: (consent, signature) => pool.call("verifyConsent", [consent, copy(signature)]),
    verifyAnnouncement(fields, body, signature) {
      const bytes = copy(body);
      return pool.call("verifyAnnouncement", [fields, bytes, copy(signature)], [bytes.buffer]);
    },
    signRequest(draft, body, salt, systemPrompt, voucher) {
      const bytes = copy(body);
      return pool.call(
        "signRequest",
        [draft, bytes, copy(salt), systemPrompt, voucher],
        [bytes.buffer],
      );
    },
    signResponse: (commitment, channelId) => pool.call("signResponse", [commitment, channelId]),
    signVoucher: (voucher) => pool.call("signVoucher", [voucher]),
    signConsent: (consent) => pool.call("signConsent", [consent]),
    signAnnouncement(fields, body) {
      const bytes = copy(body);
      return pool.call("signAnnouncement", [fields, bytes], [bytes.buffer]);
    },
    stop: () => pool.stop(),
  };
}
