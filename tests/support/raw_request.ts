/** Requests by hand, for tests of what peers do with them. @module */
import type { Address } from "@lloom/core/bytes";
import type { RequestDraft, SignedRequest, Signer } from "@lloom/core/ports";
import {
  decodeExecutorFrame,
  encodeOpen,
  type ExecutorFrame,
  parseModelRequest,
} from "@lloom/core/protocol";
import { draftRequest, randomNonce } from "@lloom/core/session";
import { chat } from "./asking.ts";
import { offer } from "./executor.ts";
import type { RawPeer, RawStream } from "./raw_peer.ts";

/** The chat request in every frame of this module. */
export const BODY: Uint8Array = new TextEncoder().encode(JSON.stringify(chat()));
/** Its salt. */
export const SALT: Uint8Array = new Uint8Array(32).fill(7);

/** A signed commitment to {@linkcode BODY}, for an executor's address in any case. */
export async function signedRequest(
  signer: Signer,
  executor: string,
  change: Partial<RequestDraft> = {},
): Promise<SignedRequest> {
  const draft = draftRequest(parseModelRequest(BODY), {
    executor: executor.toLowerCase() as Address,
    offer: offer({ id: "mock-model", inboundPrice: 0n, outboundPrice: 0n }),
    nowMs: Date.now(),
    timeoutMs: 10_000,
    nonce: randomNonce(),
  });
  return await signer.signRequest({ ...draft, ...change }, BODY, SALT, "");
}

/** An `open` frame's body, as an honest client would send it. */
export async function signedOpen(peer: RawPeer, executor: string): Promise<Uint8Array> {
  const request = await signedRequest(peer.signer, executor);
  return encodeOpen({ body: BODY, salt: SALT, request });
}

/** What an executor sends next; undefined if it has ended the stream. */
export async function nextFrame({ frames }: RawStream): Promise<ExecutorFrame | undefined> {
  const message = await frames.next();
  return message && decodeExecutorFrame(message);
}
