/**
 * Keeps the network told of what this executor offers: at start, on every change, as a heartbeat,
 * and at the end that it is gone.
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { LloomError } from "../errors.ts";
import type { Clock, Signer } from "../ports.ts";
import {
  type Announcement,
  encodeSignedAnnouncement,
  type SignedAnnouncement,
} from "../protocol/announcement.ts";
import { HEARTBEAT_MS } from "../protocol/limits.ts";
import { fitAnnouncement } from "./fit_announcement.ts";

const log = getLogger(["lloom", "announce"]);

/** What an executor has to say at a moment. */
export type Offering = Pick<Announcement, "multiaddrs" | "models" | "load" | "payment">;

/** Times of an {@linkcode Announcer}, in milliseconds. */
export interface AnnouncerOptions {
  /** Between two announcements with nothing new. @default HEARTBEAT_MS */
  readonly heartbeatMs?: number;
  /** Changes this close together are told as one. @default 200 */
  readonly settleMs?: number;
}

/** What an {@linkcode Announcer} works with. */
export interface AnnouncerComponents {
  /** Dates announcements and times heartbeats. */
  readonly clock: Clock;
  /** Signs with the key of the PeerId. */
  readonly signer: Signer;
  /** Who announces. */
  readonly peerId: string;
  /** What there is to say now. */
  readonly offering: () => Offering;
  /** Spreads a signed announcement. */
  readonly publish: (announcement: SignedAnnouncement, bytes: Uint8Array) => Promise<void>;
}

/** Announces one executor. */
export class Announcer {
  readonly #options: Required<AnnouncerOptions>;
  readonly #components: AnnouncerComponents;
  #sequence = 0n;
  /** What the operator was last told of. */
  #leftOut = "";
  #disarm: (() => void) | undefined;
  /** Announcements follow each other: their sequence must be that of their sending. */
  #last: Promise<void> = Promise.resolve();
  #settling = false;
  #stopped = false;

  /** An announcer that says nothing until it is started. */
  constructor(options: AnnouncerOptions, components: AnnouncerComponents) {
    this.#options = {
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      settleMs: options.settleMs ?? 200,
    };
    this.#components = components;
  }

  /** Announces for the first time. */
  async start(): Promise<void> {
    await this.#announce("initial");
  }

  /** Announces soon, because something changed: models, prices, addresses, or who listens. */
  changed(): void {
    if (this.#settling || this.#stopped) return;
    this.#settling = true;
    this.#schedule("update", this.#options.settleMs);
  }

  /** Takes everything back, if anything was announced. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#disarm?.();
    if (this.#sequence > 0n) await this.#announce("removal");
  }

  #schedule(kind: Announcement["kind"], ms: number): void {
    this.#disarm?.();
    this.#disarm = this.#components.clock.setTimer(ms, () => {
      this.#settling = false;
      void this.#announce(kind);
    });
  }

  #announce(kind: Announcement["kind"]): Promise<void> {
    this.#last = this.#last.then(() => this.#send(kind)).catch((thrown) => {
      const { code, message } = LloomError.wrap(thrown);
      log.warn("announcement failed, the next heartbeat tries again: {code} {message}", {
        code,
        message,
      });
    }).then(() => {
      if (!this.#stopped && !this.#settling) {
        this.#schedule("heartbeat", this.#options.heartbeatMs);
      }
    });
    return this.#last;
  }

  async #send(kind: Announcement["kind"]): Promise<void> {
    const { clock, signer, peerId, offering, publish } = this.#components;
    const timestamp = clock.now();
    // Time, so that it grows across restarts without being stored.
    const sequence = BigInt(timestamp);
    this.#sequence = sequence > this.#sequence ? sequence : this.#sequence + 1n;
    const { models, ...offer } = offering();
    const { body, announcement, leftOut } = fitAnnouncement({
      kind,
      peerId,
      executor: signer.address,
      ...offer,
      models: kind === "removal" ? [] : models,
      timestamp,
      sequence: this.#sequence,
    });
    this.#warn(leftOut);
    const signature = await signer.signAnnouncement(
      { peerId, timestamp: BigInt(timestamp), sequence: this.#sequence },
      body,
    );
    const signed = { body, signature };
    await publish(signed, encodeSignedAnnouncement(signed));
    log.debug("announced {kind}: {models} models", { kind, models: announcement.models.length });
  }

  /** Tells of models that are not announced, once and whenever they change. */
  #warn(leftOut: readonly string[]): void {
    const names = leftOut.map((name) => name.slice(0, 80)).join(", ");
    if (names !== "" && names !== this.#leftOut) {
      log.warn("{count} models are not announced, as an announcement cannot hold them: {names}", {
        count: leftOut.length,
        names,
      });
    }
    this.#leftOut = names;
  }
}
