/** A client's process in a market of faults. @module */
import { Wallet } from "@lloom/client";
import { fromHex, type Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { addressOfPeerId, Identity } from "@lloom/core/identity";
import { createNode, type PeerAddresses, requestConsent } from "@lloom/core/net";
import type { BuyerChannel, ChannelStatus } from "@lloom/core/payments";
import type { ChainAccount } from "@lloom/host/chain";
import { CHANNEL_PROTOCOL, MAX_CLOSE_FRAME_BYTES } from "@lloom/core/protocol";
import { createVerifier, noblePrimitives } from "@lloom/core/signing";
import { systemClock } from "@lloom/host";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Note } from "./audit.ts";
import { blockchainOf, type ClientTask, PAYMENTS } from "./client_program.ts";
import { Member } from "./member.ts";

const PROGRAM = fileURLToPath(new URL("./client_program.ts", import.meta.url));

/** See the module. */
export class FaultyClient extends Member {
  readonly identity: Identity;
  /** What its processes said of their requests, by tag. */
  readonly notes = new Map<number, Note>();
  /** Told of each piece of an answer. */
  onText: () => void = () => {};
  readonly #task: Omit<ClientTask, "seed" | "firstTag">;
  readonly #seed: () => number;
  #lastTag = 1000;

  /** @param seed for each process that is started */
  constructor(task: Omit<ClientTask, "seed" | "firstTag">, seed: () => number) {
    super();
    this.identity = new Identity(fromHex(task.key));
    this.#task = task;
    this.#seed = seed;
  }

  get dataDir(): string {
    return this.#task.dataDir;
  }

  start(): void {
    const firstTag = this.#lastTag + 1 + this.#task.concurrency;
    const task: ClientTask = { ...this.#task, seed: this.#seed(), firstTag };
    const args = ["--allow-all", "--unstable-worker-options", PROGRAM, JSON.stringify(task)];
    this.run(args, (line) => this.#read(line));
  }

  /** Has it end once its answers have. */
  async stop(): Promise<void> {
    await this.endWith((process) => process.stdin.close());
  }

  /**
   * Closes its channels, with its process stopped.
   * @param withConsent asks the executors first, which must be there; else they see it on the chain
   */
  async closeChannels(withConsent: boolean): Promise<void> {
    await this.#eachChannel(
      "open",
      (channel, account, wallet) =>
        withConsent
          ? this.#closeWithConsent(channel, wallet, account)
          : account.actions.requestClose(channel.channelId, channel.terms),
    );
  }

  /** Ends channels that their executors had no reason to end, once the delay is over. */
  async finalize(): Promise<void> {
    await this.#eachChannel(
      "closing",
      ({ channelId, terms }, { actions }) => actions.finalize(channelId, terms),
    );
  }

  async #eachChannel(
    wanted: ChannelStatus,
    act: (channel: BuyerChannel, account: ChainAccount, wallet: Wallet) => Promise<string>,
  ): Promise<void> {
    const { dataDir, rpcUrl, confirmations } = this.#task;
    const blockchain = blockchainOf(rpcUrl, confirmations);
    const { identity } = this;
    const wallet = await Wallet.open({ identity, blockchain, payments: PAYMENTS, dataDir });
    try {
      const store = await wallet.ledger();
      const access = await wallet.chain();
      await access.use(async (account) => {
        for (const channel of await store.channels()) {
          await openedBefore(channel, account);
          const { status } = await access.reader.channel(channel.channelId, "latest");
          if (status === wanted) {
            await account.outbox.confirmed(await act(channel, account, wallet));
          }
        }
      });
    } finally {
      await wallet.close();
    }
  }

  async #closeWithConsent(
    channel: BuyerChannel,
    { domain }: Wallet,
    { actions }: ChainAccount,
  ): Promise<string> {
    const verifier = createVerifier(noblePrimitives, { payment: domain! });
    const node = await createNode(
      { listen: [], bootstrap: this.#task.bootstrapNodes, loopbackOnly: true },
      { privateKey: this.identity.exportPrivateKey(), clock: systemClock },
    );
    await node.start();
    try {
      const peer = this.#executorOf(channel);
      const signal = AbortSignal.timeout(60_000);
      const maxFrameBytes = MAX_CLOSE_FRAME_BYTES;
      const components = { verifier, clock: systemClock };
      for (;;) {
        const stream = await node.openStream(peer, CHANNEL_PROTOCOL, { signal, maxFrameBytes });
        try {
          const { consent, signature } = await requestConsent(stream, channel, components, signal);
          return await actions.closeWithConsent(channel.terms, consent, signature);
        } catch (error) {
          // Its chain was just killed, or it looks up no more channels for now: it says when to ask again.
          if (!(error instanceof LloomError) || error.retryAfterMs === undefined) throw error;
          await setTimeout(error.retryAfterMs, undefined, { signal });
        }
      }
    } finally {
      await node.stop();
    }
  }

  #executorOf({ terms: { executor } }: BuyerChannel): PeerAddresses {
    for (const address of this.#task.bootstrapNodes) {
      const peerId = address.split("/").at(-1)!;
      if (addressOfPeerId(peerId) === executor) return { peerId, multiaddrs: [address] };
    }
    throw new Error("close channel: to no executor of this market");
  }

  #read(line: string): void {
    const [what, tagText, ...rest] = line.split(" ");
    const tag = Number(tagText);
    if (tag > this.#lastTag) this.#lastTag = tag;
    if (what === "asked") {
      this.notes.set(tag, { bytes: Number(rest[0]), text: 0n });
      return;
    }
    const note = this.notes.get(tag);
    if (note === undefined) throw new Error(`read client: not understood: ${line}`);
    if (what === "text") {
      note.text = BigInt(rest[0]!);
      this.onText();
    } else if (what === "done") {
      note.done = { requestHash: rest[0] as Hash, cost: BigInt(rest[1]!) };
    } else {
      note.failed = true;
      this.note(line);
    }
  }
}

/** An opening that was cut off by a kill is over, so that what it opens is closed. */
async function openedBefore({ channelId }: BuyerChannel, { outbox }: ChainAccount): Promise<void> {
  const key = `open:${channelId}`;
  if (await outbox.status(key) === "pending") await outbox.confirmed(key);
}
