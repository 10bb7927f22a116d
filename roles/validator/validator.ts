/** A validator: keeps the network discoverable, and answers who serves what. @module */
import type { Identity } from "@lloom/core/identity";
import { type LloomNode, ProviderRecords } from "@lloom/core/net";
import {
  MAX_QUERY_BYTES,
  MAX_REGISTRY_STREAMS_PER_PEER,
  REGISTRY_PROTOCOL,
  roleKey,
} from "@lloom/core/protocol";
import { acceptAnnouncement, Registry, RegistryServer } from "@lloom/core/registry";
import { createPeer, type Peer } from "@lloom/host/peer";
import type { ValidatorConfig } from "@lloom/host/config";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["lloom", "validator"]);

/** Between two sweeps of what is gone; readers never see it meanwhile. */
const SWEEP_MS = 60_000;

/** How a validator is started, besides its settings. */
export interface ValidatorOptions {
  /** Takes all permissions from the workers; needs Deno's `--unstable-worker-options`. */
  readonly sandboxWorkers: boolean;
}

/** A validator at work. */
export class Validator {
  /** The executors heard of. */
  readonly registry: Registry;
  readonly #peer: Peer;
  readonly #records: ProviderRecords;
  #disarmSweep: (() => void) | undefined;

  private constructor(peer: Peer, registry: Registry) {
    this.#peer = peer;
    this.#records = new ProviderRecords(peer.node);
    this.registry = registry;
  }

  /** Joins the network and serves it. @throws {LloomError} `config_invalid` if it cannot listen */
  static async start(
    identity: Identity,
    config: ValidatorConfig,
    { sandboxWorkers }: ValidatorOptions,
  ): Promise<Validator> {
    const peer = await createPeer(identity, {
      network: config.network,
      dht: "server",
      relay: "server",
      gossip: true,
      sandboxWorkers,
    });
    const { staleSecs, goneSecs, maxExecutors, maxModelsPerExecutor } = config.registry;
    const registry = new Registry({
      staleAfterMs: staleSecs * 1000,
      goneAfterMs: goneSecs * 1000,
      maxExecutors,
      maxModelsPerExecutor,
    }, { clock: peer.clock });
    const validator = new Validator(peer, registry);
    try {
      await validator.#start();
      return validator;
    } catch (error) {
      await validator.stop();
      throw error;
    }
  }

  /** The node, for its addresses. */
  get node(): LloomNode {
    return this.#peer.node;
  }

  /** Leaves the network. */
  async stop(): Promise<void> {
    this.#records.stop();
    this.#disarmSweep?.();
    await this.#peer.stop();
  }

  async #start(): Promise<void> {
    const { node, clock, crypto } = this.#peer;
    const server = new RegistryServer({}, { registry: this.registry, clock });
    node.onAnnouncement(async (bytes, from) => {
      const judged = await acceptAnnouncement(bytes, {
        verifier: crypto,
        clock,
        registry: this.registry,
      }, from);
      if (judged.verdict === "accept") {
        const { kept, announcement: { peerId, kind, models } } = judged;
        log.debug("{kind} of {peerId}: {models} models, kept: {kept}", {
          ...{ kind, peerId, kept },
          models: models.length,
        });
      } else {
        const { code } = judged.error;
        log.debug("announcement from {from} {verdict}: {code}", { ...judged, from, code });
      }
      return judged.verdict;
    });
    await node.handle(REGISTRY_PROTOCOL, (stream, { peerId }) => server.serve(stream, peerId), {
      maxFrameBytes: MAX_QUERY_BYTES,
      maxInboundStreams: MAX_REGISTRY_STREAMS_PER_PEER,
    });
    await node.start();
    this.#armSweep();
    this.#records.keep([roleKey("validator")]);
  }

  #armSweep(): void {
    this.#disarmSweep = this.#peer.clock.setTimer(SWEEP_MS, () => {
      this.registry.sweep();
      this.#armSweep();
    });
  }
}
