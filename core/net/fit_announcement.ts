/** What of an executor's offering an announcement can hold. @module */
import {
  type Announcement,
  decodeAnnouncement,
  encodeAnnouncement,
} from "../protocol/announcement.ts";
import {
  MAX_ADDRESSES_PER_EXECUTOR,
  MAX_ANNOUNCEMENT_BYTES,
  MAX_LOAD,
  MAX_MODELS_PER_EXECUTOR,
} from "../protocol/limits.ts";

/** An announcement that every node can read. */
export interface FittedAnnouncement {
  /** Its exact bytes. */
  readonly body: Uint8Array;
  /** What they say. */
  readonly announcement: Announcement;
  /** Names of the models that it does not say. */
  readonly leftOut: readonly string[];
}

/**
 * Leaves out what others could not read, as they would drop the whole and blame this executor: a
 * model whose name is too long, or one too many, and from the end as many as make it too large.
 * @throws {LloomError} `frame_malformed` if it cannot be read even without models and addresses
 */
export function fitAnnouncement(wanted: Announcement): FittedAnnouncement {
  const { active, queued, capacity } = wanted.load;
  const base: Announcement = {
    ...wanted,
    multiaddrs: [],
    models: [],
    load: { active: bounded(active), queued: bounded(queued), capacity: bounded(capacity) },
  };
  decodeAnnouncement(encodeAnnouncement(base));
  const multiaddrs = wanted.multiaddrs
    .filter((address) => isReadable({ ...base, multiaddrs: [address] }))
    .slice(0, MAX_ADDRESSES_PER_EXECUTOR);
  const models = wanted.models
    .filter((model) => isReadable({ ...base, models: [model] }))
    .slice(0, MAX_MODELS_PER_EXECUTOR);
  let body = encodeAnnouncement({ ...base, multiaddrs, models });
  while (body.length > MAX_ANNOUNCEMENT_BYTES && models.length > 0) {
    models.pop();
    body = encodeAnnouncement({ ...base, multiaddrs, models });
  }
  const said = new Set(models);
  return {
    body,
    announcement: decodeAnnouncement(body),
    leftOut: wanted.models.filter((model) => !said.has(model)).map(({ id }) => id),
  };
}

function bounded(load: number): number {
  return Math.min(MAX_LOAD, load);
}

function isReadable(announcement: Announcement): boolean {
  try {
    decodeAnnouncement(encodeAnnouncement(announcement));
    return true;
  } catch {
    // Whatever it is, the reader of an announcement would meet it too.
    return false;
  }
}
