/** `LloomChannels` in TypeScript: the rules of its state, for the native coin. @module */
import { LLOOM_CHANNELS_ABI } from "@lloom/contracts";
import { type Address, fromHex, type Hash, type Hex, ZERO_ADDRESS } from "@lloom/core/bytes";
import { channelIdOf } from "@lloom/core/payments";
import type { ChannelChange } from "@lloom/core/payments/chain";
import {
  type ChannelTerms,
  createTypedDataHasher,
  type Messages,
  type MessageType,
  type Primitives,
  type SigningDomain,
  type Voucher,
} from "@lloom/core/signing";
import { decodeFunctionData } from "viem/utils";

/** A channel as the contract stores it. */
export interface StoredChannel {
  readonly client: Address;
  readonly executor: Address;
  readonly deposit: bigint;
  readonly settled: bigint;
  readonly closesAt: number;
  readonly status: "none" | "open" | "closing" | "closed";
}

/** What happened, without its place. */
export interface Happened {
  readonly channelId: Hash;
  readonly change: ChannelChange;
}

/** Thrown by what the contract does not allow. */
export class Reverted extends Error {}

const MAX_CONSENT_S = 600n;
const DELAYS_S = { least: 900, most: 2_592_000 } as const;

/** Decoding costs more than all the rest, and each call is looked at several times. */
const decoded = new Map<Hex, ReturnType<typeof decodeCall>>();

function decodeCall(data: Hex) {
  return decodeFunctionData({ abi: LLOOM_CHANNELS_ABI, data });
}

function callOf(data: Hex): ReturnType<typeof decodeCall> {
  let call = decoded.get(data);
  if (call === undefined) {
    if (decoded.size > 256) decoded.clear();
    call = decodeCall(data);
    decoded.set(data, call);
  }
  return call;
}

/** The contract's state at one block; changing it is for a copy of one's own. */
export class ModelContract {
  readonly credits: Map<Address, bigint>;
  readonly channels: Map<Hash, StoredChannel>;
  readonly #rules: ContractRules;

  constructor(rules: ContractRules, from?: ModelContract) {
    this.#rules = rules;
    this.credits = new Map(from?.credits);
    this.channels = new Map(from?.channels);
  }

  copy(): ModelContract {
    return new ModelContract(this.#rules, this);
  }

  /** Takes over the state of a copy. */
  become({ credits, channels }: ModelContract): void {
    for (const [account, credit] of credits) this.credits.set(account, credit);
    for (const [channelId, channel] of channels) this.channels.set(channelId, channel);
  }

  /** What it must hold: everybody's credit, and what is in channels and not settled. */
  get owed(): bigint {
    let sum = 0n;
    for (const credit of this.credits.values()) sum += credit;
    for (const { deposit, settled } of this.channels.values()) sum += deposit - settled;
    return sum;
  }

  /**
   * Executes a call.
   * @returns what happened, and the coin that leaves to the sender
   * @throws {Reverted}
   */
  call(
    sender: Address,
    data: Hex,
    value: bigint,
    nowS: number,
  ): { readonly happened: readonly Happened[]; readonly out: bigint } {
    const { functionName, args } = callOf(data);
    const happened: Happened[] = [];
    switch (functionName) {
      case "deposit":
        demand(value === args[2]);
        this.#add(lower(args[1]), value);
        return { happened, out: 0n };
      case "withdraw":
        demand(args[2] > 0n && lower(args[1]) === sender && lower(args[0]) === ZERO_ADDRESS);
        this.#add(sender, -args[2]);
        return { happened, out: args[2] };
      case "open":
        this.#open(sender, termsOf(args[0]), args[1], value, happened);
        break;
      case "topUp":
        this.#topUp(sender, termsOf(args[0]), args[1], value, happened);
        break;
      case "redeemMany":
        for (const item of args[0]) this.#redeem(item, happened);
        break;
      case "redeemAndClose": {
        const [item] = args;
        demand(sender === lower(item.terms.executor));
        const outcome = this.#redeem(item, happened);
        demand(outcome === "paid" || outcome === "nothing due");
        this.#close(termsOf(item.terms), happened);
        break;
      }
      case "requestClose":
        this.#requestClose(sender, termsOf(args[0]), nowS, happened);
        break;
      case "finalize": {
        const terms = termsOf(args[0]);
        const channel = this.#channel(channelIdOf(terms));
        demand(channel.status === "closing" && nowS >= channel.closesAt);
        this.#close(terms, happened);
        break;
      }
      case "closeWithConsent":
        this.#closeWithConsent(sender, args, nowS, happened);
        break;
      default:
        throw new TypeError(`call contract: ${functionName} is not modelled`);
    }
    return { happened, out: 0n };
  }

  #open(
    sender: Address,
    terms: ChannelTerms,
    amount: bigint,
    value: bigint,
    happened: Happened[],
  ): void {
    const { client, executor, closeDelay } = terms;
    const channelId = channelIdOf(terms);
    demand(sender === client && amount > 0n && this.#channel(channelId).status === "none");
    demand(closeDelay >= DELAYS_S.least && closeDelay <= DELAYS_S.most);
    this.#collect(sender, amount, value);
    const fresh = { client, executor, deposit: amount, settled: 0n, closesAt: 0 };
    this.channels.set(channelId, { ...fresh, status: "open" });
    happened.push({ channelId, change: { type: "opened", terms, deposit: amount } });
  }

  #topUp(
    sender: Address,
    terms: ChannelTerms,
    amount: bigint,
    value: bigint,
    happened: Happened[],
  ): void {
    const channelId = channelIdOf(terms);
    const channel = this.#channel(channelId);
    demand(channel.status === "open" && amount > 0n);
    this.#collect(sender, amount, value);
    const deposit = channel.deposit + amount;
    this.channels.set(channelId, { ...channel, deposit });
    happened.push({ channelId, change: { type: "topped_up", deposit } });
  }

  #redeem(item: RedemptionArgs, happened: Happened[]): Outcome {
    const terms = termsOf(item.terms);
    const channelId = channelIdOf(terms);
    const channel = this.#channel(channelId);
    if (!this.#isLive(channelId)) return "not open";
    const promised = item.voucher.cumulativeAmount;
    const settled = promised < channel.deposit ? promised : channel.deposit;
    if (settled <= channel.settled) return "nothing due";
    const voucher = { ...item.voucher, channelId };
    if (this.#rules.signerOf("Voucher", voucher, fromCompact(item)) !== terms.signer) {
      return "bad signature";
    }
    this.channels.set(channelId, { ...channel, settled });
    const paid = settled - channel.settled;
    this.#add(terms.executor, paid);
    happened.push({ channelId, change: { type: "redeemed", paid, settled } });
    return "paid";
  }

  #requestClose(sender: Address, terms: ChannelTerms, nowS: number, happened: Happened[]): void {
    const channelId = channelIdOf(terms);
    const channel = this.#channel(channelId);
    demand(sender === terms.client && channel.status === "open");
    const closesAt = nowS + terms.closeDelay;
    this.channels.set(channelId, { ...channel, closesAt, status: "closing" });
    happened.push({ channelId, change: { type: "close_requested", closesAt } });
  }

  #closeWithConsent(
    sender: Address,
    [given, finalAmount, deadline, signature]: readonly [ChannelTerms, bigint, bigint, Hex],
    nowS: number,
    happened: Happened[],
  ): void {
    const terms = termsOf(given);
    const channelId = channelIdOf(terms);
    const channel = this.#channel(channelId);
    const { settled, deposit } = channel;
    demand(sender === terms.client && this.#isLive(channelId));
    demand(BigInt(nowS) <= deadline && deadline <= BigInt(nowS) + MAX_CONSENT_S);
    demand(finalAmount >= settled && finalAmount <= deposit);
    const bytes = fromHex(signature);
    bytes[64]! -= 27;
    const consent = { channelId, finalAmount, deadline };
    demand(this.#rules.signerOf("CloseConsent", consent, bytes) === terms.executor);
    this.channels.set(channelId, { ...channel, settled: finalAmount });
    this.#add(terms.executor, finalAmount - settled);
    this.#close(terms, happened);
  }

  #close(terms: ChannelTerms, happened: Happened[]): void {
    const channelId = channelIdOf(terms);
    const { deposit, settled, ...rest } = this.#channel(channelId);
    const refunded = deposit - settled;
    this.channels.set(channelId, { ...rest, deposit: settled, settled, status: "closed" });
    this.#add(terms.client, refunded);
    happened.push({ channelId, change: { type: "closed", settled, refunded } });
  }

  #isLive(channelId: Hash): boolean {
    const { status } = this.#channel(channelId);
    return status === "open" || status === "closing";
  }

  #collect(sender: Address, amount: bigint, value: bigint): void {
    if (value === 0n) this.#add(sender, -amount);
    else demand(value === amount);
  }

  #add(account: Address, amount: bigint): void {
    const credit = (this.credits.get(account) ?? 0n) + amount;
    demand(credit >= 0n);
    this.credits.set(account, credit);
  }

  #channel(channelId: Hash): StoredChannel {
    return this.channels.get(channelId) ?? NONE;
  }
}

/** What the contract checks signatures with. */
export interface ContractRules {
  /** Who signed a message; undefined if nobody did. */
  signerOf<T extends "Voucher" | "CloseConsent">(
    type: T,
    message: Messages[T],
    signature: Uint8Array,
  ): Address | undefined;
}

/** The rules of a contract in a domain. */
export function createContractRules(primitives: Primitives, domain: SigningDomain): ContractRules {
  const hasher = createTypedDataHasher(primitives.keccak256, domain);
  return {
    signerOf<T extends MessageType>(type: T, message: Messages[T], signature: Uint8Array) {
      try {
        return primitives.recover(hasher.digest(type, message), signature);
      } catch {
        return undefined; // as ecrecover has it
      }
    },
  };
}

type Outcome = "paid" | "not open" | "nothing due" | "bad signature";

interface RedemptionArgs {
  readonly terms: ChannelTerms;
  readonly voucher: Omit<Voucher, "channelId">;
  readonly r: Hex;
  readonly vs: Hex;
}

const NONE: StoredChannel = {
  client: ZERO_ADDRESS,
  executor: ZERO_ADDRESS,
  deposit: 0n,
  settled: 0n,
  closesAt: 0,
  status: "none",
};

function demand(holds: boolean): void {
  if (!holds) throw new Reverted();
}

/** viem spells addresses with a checksum. */
function lower(address: Hex): Address {
  return address.toLowerCase() as Address;
}

function termsOf(
  { client, executor, asset, signer, closeDelay, salt }: ChannelTerms,
): ChannelTerms {
  return {
    client: lower(client),
    executor: lower(executor),
    asset: lower(asset),
    signer: lower(signer),
    closeDelay,
    salt,
  };
}

/** ERC-2098, read back. */
function fromCompact({ r, vs }: RedemptionArgs): Uint8Array {
  const signature = new Uint8Array(65);
  signature.set(fromHex(r));
  signature.set(fromHex(vs), 32);
  signature[64] = signature[32]! >> 7;
  signature[32]! &= 0x7f;
  return signature;
}
