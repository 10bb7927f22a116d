/** An executor that does as a test says. @module */
import assert from "node:assert/strict";
import { type Address, type Hash, toHex } from "@lloom/core/bytes";
import { generateIdentity, type Identity } from "@lloom/core/identity";
import { createNode, type FrameStream, type LloomNode } from "@lloom/core/net";
import type { PaymentTerms, Prices } from "@lloom/core/payments";
import {
  decodeClientFrame,
  encodeAnnouncement,
  encodeReceipt,
  encodeSignedAnnouncement,
  encodeTrailer,
  LLM_PROTOCOL,
  MAX_QUERY_BYTES,
  MAX_REQUEST_FRAME_BYTES,
  type OpenFrame,
  REGISTRY_PROTOCOL,
} from "@lloom/core/protocol";
import { acceptAnnouncement, Registry, RegistryServer } from "@lloom/core/registry";
import {
  createSigner,
  createVerifier,
  type LlmResponseCommitment,
  noblePrimitives,
  type SigningDomains,
} from "@lloom/core/signing";
import { systemClock } from "@lloom/host";
import { keccak_256 } from "@noble/hashes/sha3";
import { offer } from "./executor.ts";
import { LOOPBACK } from "./network.ts";

/** A line of an answer. */
export const line = (content: string): Uint8Array =>
  new TextEncoder().encode(
    `{"choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n`,
  );
/** What an honest answer says. */
export const ANSWER: Uint8Array = line("yes");

/** The end of an answer of so many tokens, to a prompt of one. */
export function trailerOf(completionTokens: number): Uint8Array {
  return encodeTrailer({ finish: "stop", promptTokens: 1, completionTokens, countedBy: "backend" });
}

/** The end of an honest one. */
export const TRAILER: Uint8Array = trailerOf(1);

/** One request as the hostile executor has it in hand. */
export interface Asked {
  readonly open: OpenFrame;
  readonly requestHash: Hash;
  readonly client: Address;
  readonly stream: FrameStream;
  /** A receipt with an honest executor's content but for `change`, signed by this executor. */
  receipt(change?: Partial<LlmResponseCommitment>, trailer?: Uint8Array): Promise<Uint8Array>;
}

/** What an executor asks for its answers. */
export interface HostileOptions extends Partial<Prices> {
  /** Where payments count. */
  readonly domains?: SigningDomains;
  /** How it wants to be paid. */
  readonly payment?: PaymentTerms;
}

/** An executor in this process that announces itself like any other, and answers as the test says. */
export class HostileExecutor implements AsyncDisposable {
  #behave: (asked: Asked) => Promise<void> | void = () => {};

  private constructor(readonly node: LloomNode, readonly identity: Identity) {}

  /** Starts one that serves for nothing, unless it is told prices. */
  static async start(
    { domains = {}, payment, ...prices }: HostileOptions = {},
  ): Promise<HostileExecutor> {
    const identity = generateIdentity();
    const key = identity.exportPrivateKey();
    const signer = createSigner(noblePrimitives, domains, key);
    const verifier = createVerifier(noblePrimitives, domains);
    const node = await createNode(
      { listen: [LOOPBACK], dht: "server", loopbackOnly: true },
      { privateKey: key, clock: systemClock },
    );
    const executor = new HostileExecutor(node, identity);
    const registry = new Registry({}, { clock: systemClock });
    const queries = new RegistryServer({}, { registry, clock: systemClock });
    await node.handle(REGISTRY_PROTOCOL, (stream) => queries.serve(stream), {
      maxFrameBytes: MAX_QUERY_BYTES,
    });
    await node.handle(LLM_PROTOCOL, async (stream) => {
      for (let message; (message = await stream.next()) !== undefined;) {
        const open = decodeClientFrame(message);
        if (open.type !== "open") return;
        const { client, requestHash } = await verifier.verifyRequest(
          open.request,
          open.body,
          open.salt,
          open.payment,
        );
        const { model, inboundPrice, outboundPrice } = open.request.commitment;
        await executor.#behave({
          open,
          client,
          requestHash,
          stream,
          receipt: async (change, trailer = TRAILER) =>
            encodeReceipt({
              trailer,
              response: await signer.signResponse({
                requestHash,
                client,
                model,
                contentHash: toHex(keccak_256.create().update(ANSWER).update(trailer).digest()),
                inboundTokens: 1,
                outboundTokens: 1,
                inboundPrice,
                outboundPrice,
                timestamp: BigInt(Math.floor(Date.now() / 1000)),
                success: true,
                ...change,
              }, open.request.commitment.channelId),
            }),
        });
      }
    }, { maxFrameBytes: MAX_REQUEST_FRAME_BYTES });
    await node.start();
    const timestamp = Date.now();
    const { peerId, address } = identity;
    const body = encodeAnnouncement({
      kind: "initial",
      peerId,
      executor: address,
      multiaddrs: node.multiaddrs(),
      models: [
        offer({
          ...{ id: "mock-model", features: ["chat"], inboundPrice: 0n, outboundPrice: 0n },
          ...prices,
        }),
      ],
      ...(payment && { payment }),
      load: { active: 0, queued: 0, capacity: 1 },
      timestamp,
      sequence: 1n,
    });
    const signature = await signer.signAnnouncement(
      { peerId, timestamp: BigInt(timestamp), sequence: 1n },
      body,
    );
    const judged = await acceptAnnouncement(encodeSignedAnnouncement({ body, signature }), {
      verifier,
      clock: systemClock,
      registry,
    });
    assert.equal(judged.verdict, "accept");
    return executor;
  }

  /** How it answers from now on. */
  answers(behave: (asked: Asked) => Promise<void> | void): void {
    this.#behave = behave;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.stop();
  }
}
