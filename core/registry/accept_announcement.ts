/**
 * The walk of one announcement from the network into a registry: size, shape, age, novelty, and
 * only then the signature, which costs forty times as much as all the rest.
 * @module
 */
import { type ErrorCode, LloomError } from "../errors.ts";
import { addressOfPeerId } from "../identity/mod.ts";
import type { Clock, Verifier } from "../ports.ts";
import {
  type Announcement,
  decodeAnnouncement,
  decodeSignedAnnouncement,
  type SignedAnnouncement,
} from "../protocol/announcement.ts";
import { MAX_CLOCK_SKEW_S } from "../protocol/limits.ts";
import type { Admission, Registry } from "./registry.ts";

/** What an announcement is verified with. */
export interface VerifyComponents {
  /** Checks its signature. */
  readonly verifier: Verifier;
  /** Tells how old it is. */
  readonly clock: Clock;
}

/** What to do with an announcement from gossip: hand it on, drop it, or drop it and blame its sender. */
export type Judgement =
  | {
    readonly verdict: "accept";
    /** What it says. */
    readonly announcement: Announcement;
    /** Whether this registry keeps it; others may have room where this one has none. */
    readonly kept: boolean;
  }
  | { readonly verdict: "ignore" | "reject"; readonly error: LloomError };

/** What no honest peer hands on. All else may be chance, age, load, or a later version. */
const BLAMEWORTHY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "frame_malformed",
  "frame_too_large",
  "identity_invalid",
  "signature_invalid",
  "signer_mismatch",
]);

/** Whether an error proves that an announcement is forged or broken. */
export function isForged(error: LloomError): boolean {
  return BLAMEWORTHY.has(error.code);
}

/** Why no registry wants one. What finds no room in this registry only may find some in the next. */
const UNWANTED: Readonly<Partial<Record<Admission, string>>> = {
  known: "a newer one is known",
  gone: "too old",
};

function assertWanted(admission: Admission): void {
  const state = UNWANTED[admission];
  if (state === undefined) return;
  throw new LloomError("announcement_stale", `apply announcement: ${state}`);
}

/**
 * Takes one announcement's bytes into a registry. Never throws: what goes wrong is in the judgement.
 * @param source the PeerId of who handed it on, among whom the room is shared
 */
export async function acceptAnnouncement(
  bytes: Uint8Array,
  components: VerifyComponents & { readonly registry: Registry },
  source = "",
): Promise<Judgement> {
  const { registry, clock } = components;
  try {
    const signed = decodeSignedAnnouncement(bytes);
    const announcement = decodeAnnouncement(signed.body);
    assertNotAhead(announcement, clock);
    assertWanted(registry.check(announcement, source));
    await verifyAnnouncement(signed, announcement, components);
    // Another one of the same executor may have come in meanwhile.
    const admission = registry.apply(signed, announcement, source);
    assertWanted(admission);
    return { verdict: "accept", announcement, kept: admission === "admitted" };
  } catch (thrown) {
    const error = LloomError.wrap(thrown, "internal", "accept announcement");
    return { verdict: isForged(error) ? "reject" : "ignore", error };
  }
}

/** Refuses an announcement from the future. @throws {LloomError} `announcement_stale` for one dated further ahead than clocks may differ */
export function assertNotAhead({ timestamp }: Announcement, clock: Clock): void {
  if (timestamp > clock.now() + MAX_CLOCK_SKEW_S * 1000) {
    throw new LloomError("announcement_stale", "verify announcement: dated ahead of this clock");
  }
}

/**
 * Checks that an announcement was signed by the peer that it speaks for.
 * @param announcement what `signed.body` decodes to
 * @throws {LloomError} `identity_invalid`, `signer_mismatch`, `signature_invalid`
 */
export async function verifyAnnouncement(
  signed: SignedAnnouncement,
  announcement: Announcement,
  { verifier }: Pick<VerifyComponents, "verifier">,
): Promise<void> {
  const { peerId, executor, timestamp, sequence } = announcement;
  if (addressOfPeerId(peerId) !== executor) {
    throw new LloomError("signer_mismatch", "verify announcement: PeerId and address differ");
  }
  const fields = { executor, peerId, timestamp: BigInt(timestamp), sequence };
  const { executor: signer } = await verifier.verifyAnnouncement(
    fields,
    signed.body,
    signed.signature,
  );
  if (signer !== executor) {
    throw new LloomError("signer_mismatch", "verify announcement: signed by another key");
  }
}
