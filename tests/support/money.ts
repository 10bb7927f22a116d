/** A chain of channels for tests of both sides' money, and messages for them. @module */
import { type Address, type Hash, toHex, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import {
  type Amount,
  channelIdOf,
  type ChannelOpener,
  type ChannelView,
  type Cost,
  type NamedChannel,
  type PaidReceipt,
  type PaymentTerms,
} from "@lloom/core/payments";
import type { SignedRequest } from "@lloom/core/ports";
import {
  type ChannelTerms,
  createSigner,
  createVerifier,
  noblePrimitives,
  type SigningDomain,
} from "@lloom/core/signing";

export const DOMAIN: SigningDomain = {
  name: "Lloom Network",
  version: "1.0.0",
  chainId: 31337n,
  verifyingContract: `0x${"cc".repeat(20)}`,
};

export const verifier = createVerifier(noblePrimitives, { payment: DOMAIN });
export const client = createSigner(
  noblePrimitives,
  { payment: DOMAIN },
  new Uint8Array(32).fill(0xc1),
);
export const executor = createSigner(
  noblePrimitives,
  { payment: DOMAIN },
  new Uint8Array(32).fill(0xe1),
);

/** How the executor wants to be paid. */
export const PAYMENT: PaymentTerms = {
  chainId: DOMAIN.chainId,
  contract: DOMAIN.verifyingContract,
  asset: ZERO_ADDRESS,
  stepTokens: 10,
  closeDelay: 3600,
};

/** Terms between the two, of a channel of its own for each salt. */
export function termsOf(salt: bigint, fields: Partial<ChannelTerms> = {}): ChannelTerms {
  return {
    client: client.address,
    executor: executor.address,
    asset: ZERO_ADDRESS,
    signer: client.address,
    closeDelay: 3600,
    salt,
    ...fields,
  };
}

const NONE: ChannelView = { deposit: 0n, settled: 0n, status: "none", closesAt: 0 };

/** Channels on a chain that confirms at once, unless told otherwise. */
export class FakeChain implements ChannelOpener {
  readonly channels = new Map<Hash, ChannelView>();
  /** What was done, in order. */
  readonly done: string[] = [];
  /** Awaited before anything is confirmed. */
  gate: Promise<void> = Promise.resolve();
  /** Fails the next opening. */
  fails: LloomError | undefined;

  view(channelId: Hash): Promise<ChannelView> {
    this.done.push("view");
    return Promise.resolve(this.channels.get(channelId) ?? NONE);
  }

  channel(channelId: Hash): Promise<ChannelView> {
    return this.view(channelId);
  }

  async open({ channelId, terms }: NamedChannel, amount: Amount): Promise<ChannelView> {
    this.done.push(`open ${amount}`);
    if (channelIdOf(terms) !== channelId) throw new TypeError("the id is not that of the terms");
    await this.gate;
    const fault = this.fails;
    this.fails = undefined;
    if (fault !== undefined) throw fault;
    // The same opening again is the same deposit.
    const view = this.channels.get(channelId) ?? { ...NONE, status: "open", deposit: amount };
    this.channels.set(channelId, view);
    return view;
  }

  async topUp(
    { channelId, deposit }: NamedChannel & { readonly deposit: Amount },
    amount: Amount,
  ): Promise<ChannelView> {
    this.done.push(`top up ${amount}`);
    await this.gate;
    return this.set(channelId, { deposit: deposit + amount });
  }

  /** Changes a channel. */
  set(channelId: Hash, fields: Partial<ChannelView>): ChannelView {
    const view = { ...NONE, ...this.channels.get(channelId), ...fields };
    this.channels.set(channelId, view);
    return view;
  }
}

/** A request on a channel, with a nonce that tells it from others. */
export function requestOn(
  channelId: Hash,
  nonce: bigint,
): Promise<SignedRequest & { readonly requestHash: Hash }> {
  return client.signRequest(
    {
      channelId,
      executor: executor.address,
      model: "m",
      maxTokens: 100,
      temperature: 0,
      inboundPrice: 1_000_000n,
      outboundPrice: 1_000_000n,
      nonce,
      deadline: 1_800_000_000n,
    },
    new Uint8Array(8),
    new Uint8Array(32),
    "",
  );
}

/** A receipt for a request that comes to `cost`. */
export async function receiptOf(
  requestHash: Hash,
  channelId: Hash,
  cost: Cost,
  asker: Address = client.address,
): Promise<PaidReceipt> {
  const { responseHash, ...response } = await executor.signResponse({
    requestHash,
    client: asker,
    model: "m",
    contentHash: toHex(new Uint8Array(32)),
    inboundTokens: 1,
    outboundTokens: 1,
    inboundPrice: 1_000_000n,
    outboundPrice: 1_000_000n,
    timestamp: 1_700_000_000n,
    success: true,
  }, channelId);
  return { response, responseHash, cost };
}

/** Whether a thrown value is a `LloomError` of that code. */
export function code(wanted: string): (error: unknown) => boolean {
  return (error) => error instanceof LloomError && error.code === wanted;
}
