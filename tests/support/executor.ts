/** An executor that signs announcements, for tests. @module */
import type { Address } from "@lloom/core/bytes";
import { generateIdentity } from "@lloom/core/identity";
import type { Verifier } from "@lloom/core/ports";
import {
  type Announcement,
  encodeAnnouncement,
  encodeSignedAnnouncement,
  type ModelOffer,
  type SignedAnnouncement,
} from "@lloom/core/protocol";
import { createSigner, createVerifier, noblePrimitives } from "@lloom/core/signing";

/** Verifies what {@linkcode executor} signs. */
export const verifier: Verifier = createVerifier(noblePrimitives, {});

/** What an announcement should say differently, and when it is made. */
export type AnnounceChange = Partial<Announcement> & Pick<Announcement, "timestamp">;

/** A key and what it can say. */
export interface TestExecutor {
  readonly peerId: string;
  readonly address: Address;
  announcement(change: AnnounceChange): Announcement;
  sign(announcement: Announcement): Promise<SignedAnnouncement>;
  /** A signed announcement's bytes. */
  announce(change: AnnounceChange): Promise<Uint8Array>;
}

/** A model at an executor. */
export function offer(change: Partial<ModelOffer> = {}): ModelOffer {
  return {
    id: "model",
    backend: "test",
    features: [],
    available: true,
    inboundPrice: 1n,
    outboundPrice: 2n,
    ...change,
  };
}

/** An executor with a new key. */
export function executor(): TestExecutor {
  const identity = generateIdentity();
  const { peerId, address } = identity;
  const signer = createSigner(noblePrimitives, {}, identity.exportPrivateKey());
  const announcement = (change: AnnounceChange): Announcement => ({
    kind: "update",
    peerId,
    executor: address,
    multiaddrs: [`/ip4/127.0.0.1/tcp/9001/p2p/${peerId}`],
    models: [offer()],
    load: { active: 0, queued: 0, capacity: 1 },
    sequence: BigInt(change.timestamp),
    ...change,
  });
  const sign = async (a: Announcement): Promise<SignedAnnouncement> => {
    const body = encodeAnnouncement(a);
    const fields = {
      peerId: a.peerId,
      timestamp: BigInt(a.timestamp),
      sequence: a.sequence,
    };
    return { body, signature: await signer.signAnnouncement(fields, body) };
  };
  const announce = async (change: AnnounceChange) =>
    encodeSignedAnnouncement(await sign(announcement(change)));
  return { peerId, address, announcement, sign, announce };
}
