/** Executors that a request could go to. @module */
import type { Announcement, ModelOffer } from "../protocol/announcement.ts";
import type { RegistryEntry } from "../registry/registry.ts";
import type { Observations, Observed } from "./observations.ts";

/** One executor's offer of one model, with what this node knows of it. */
export interface Candidate {
  /** What the executor says of itself. */
  readonly announcement: Announcement;
  /** What it says of the model. */
  readonly offer: ModelOffer;
  /** When it was last heard of, in Unix milliseconds. */
  readonly lastSeen: number;
  /** How it has served this node. */
  readonly observed: Observed;
}

/** The executors that offer a model, under exactly that name. */
export function candidatesOf(
  entries: Iterable<Pick<RegistryEntry, "announcement" | "lastSeen">>,
  model: string,
  observations: Observations,
): readonly Candidate[] {
  const candidates: Candidate[] = [];
  for (const { announcement, lastSeen } of entries) {
    const offer = announcement.models.find(({ id }) => id === model);
    if (offer === undefined) continue;
    const observed = observations.of(announcement.peerId, model);
    candidates.push({ announcement, offer, lastSeen, observed });
  }
  return candidates;
}
