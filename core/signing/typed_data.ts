/**
 * The EIP-712 messages of Lloom: what both sides of a request, of a payment channel, and every
 * announcement, sign.
 * Field order is the protocol: it decides the type hash.
 * @module
 */
import { type Address, type Hash, ZERO_ADDRESS } from "../bytes.ts";

/** Length of a signature: r ‖ s ‖ recovery id. */
export const SIGNATURE_BYTES = 65;
/** Length of the salt in a request's hashes, without which a prompt could be guessed from the chain. */
export const SALT_BYTES = 32;
/** What a field of type `uint32` can hold. */
export const UINT32_MAX = 0xffff_ffff;

/** Where a signature counts: EIP-712's domain. A signature made for one is worthless in another. */
export interface SigningDomain {
  /** The same in every network. */
  readonly name: "Lloom Network";
  /** Changes with the meaning of any message. */
  readonly version: "1.0.0";
  /** 0 on a network without a chain, where all requests are free. */
  readonly chainId: bigint;
  /** The payment contract; zero on a network without a chain. */
  readonly verifyingContract: Address;
}

/** The domain of a network without a chain. */
export const FREE_DOMAIN: SigningDomain = {
  name: "Lloom Network",
  version: "1.0.0",
  chainId: 0n,
  verifyingContract: ZERO_ADDRESS,
};

/** EIP-712's types of each message, in the form that viem and every wallet take. */
export const TYPES = {
  LlmRequestCommitment: [
    { name: "channelId", type: "bytes32" },
    { name: "executor", type: "address" },
    { name: "model", type: "string" },
    { name: "promptHash", type: "bytes32" },
    { name: "systemPromptHash", type: "bytes32" },
    { name: "maxTokens", type: "uint32" },
    { name: "temperature", type: "uint32" },
    { name: "inboundPrice", type: "uint256" },
    { name: "outboundPrice", type: "uint256" },
    { name: "nonce", type: "uint64" },
    { name: "deadline", type: "uint64" },
  ],
  LlmResponseCommitment: [
    { name: "requestHash", type: "bytes32" },
    { name: "client", type: "address" },
    { name: "model", type: "string" },
    { name: "contentHash", type: "bytes32" },
    { name: "inboundTokens", type: "uint32" },
    { name: "outboundTokens", type: "uint32" },
    { name: "inboundPrice", type: "uint256" },
    { name: "outboundPrice", type: "uint256" },
    { name: "timestamp", type: "uint64" },
    { name: "success", type: "bool" },
  ],
  ExecutorAnnouncement: [
    { name: "executor", type: "address" },
    { name: "peerId", type: "string" },
    { name: "bodyHash", type: "bytes32" },
    { name: "timestamp", type: "uint64" },
    { name: "sequence", type: "uint64" },
  ],
  ChannelTerms: [
    { name: "client", type: "address" },
    { name: "executor", type: "address" },
    { name: "asset", type: "address" },
    { name: "signer", type: "address" },
    { name: "closeDelay", type: "uint32" },
    { name: "salt", type: "uint96" },
  ],
  ChannelOpen: [
    { name: "channelId", type: "bytes32" },
    { name: "amount", type: "uint96" },
    { name: "deadline", type: "uint64" },
  ],
  Voucher: [
    { name: "channelId", type: "bytes32" },
    { name: "cumulativeAmount", type: "uint96" },
    { name: "requests", type: "uint64" },
    { name: "inboundTokens", type: "uint64" },
    { name: "outboundTokens", type: "uint64" },
    { name: "receiptsRoot", type: "bytes32" },
  ],
  CloseConsent: [
    { name: "channelId", type: "bytes32" },
    { name: "finalAmount", type: "uint96" },
    { name: "deadline", type: "uint64" },
  ],
} as const;

/** {@linkcode LlmRequestCommitment.temperature} of a request that names none: the model's own default applies. */
export const TEMPERATURE_UNSET: number = UINT32_MAX;
/** {@linkcode LlmRequestCommitment.temperature} is the temperature times this. */
export const TEMPERATURE_SCALE = 10_000;

/** What a client asks of one executor, and on what terms. Signed by the client. */
export interface LlmRequestCommitment {
  /** The payment channel; zero for a free request. */
  readonly channelId: Hash;
  /** Who is asked; nobody else may answer. */
  readonly executor: Address;
  /** As the executor announced it. */
  readonly model: string;
  /** keccak256(salt ‖ body): the exact bytes of the request, unguessable from the hash alone. */
  readonly promptHash: Hash;
  /** keccak256(salt ‖ UTF-8 of the system prompt); zero if there is none. */
  readonly systemPromptHash: Hash;
  /** The most tokens of answer that the client pays for. */
  readonly maxTokens: number;
  /** Times 10,000; {@linkcode TEMPERATURE_UNSET} if the request names none. */
  readonly temperature: number;
  /** Base units of the channel's asset per 1,000,000 tokens of prompt. */
  readonly inboundPrice: bigint;
  /** Base units of the channel's asset per 1,000,000 tokens of answer. */
  readonly outboundPrice: bigint;
  /** Any 64-bit number that this client has not used with this executor before the deadline. */
  readonly nonce: bigint;
  /** Unix seconds; the request is refused, and its answer may not be dated, after it. */
  readonly deadline: bigint;
}

/** What an executor delivered: the receipt. Signed by the executor. */
export interface LlmResponseCommitment {
  /** EIP-712 hashStruct of the {@linkcode LlmRequestCommitment}. */
  readonly requestHash: Hash;
  /** Who signed the request. */
  readonly client: Address;
  /** As in the request. */
  readonly model: string;
  /** keccak256 of all delivered bytes in order, the trailer last. */
  readonly contentHash: Hash;
  /** Tokens of prompt. */
  readonly inboundTokens: number;
  /** Tokens of answer. */
  readonly outboundTokens: number;
  /** As in the request. */
  readonly inboundPrice: bigint;
  /** As in the request. */
  readonly outboundPrice: bigint;
  /** Unix seconds. */
  readonly timestamp: bigint;
  /** False for an answer that was cancelled or that failed on the way. */
  readonly success: boolean;
}

/** That an executor said the announcement whose bytes hash to `bodyHash`. Signed by the executor. */
export interface ExecutorAnnouncement {
  /** Who announces itself. */
  readonly executor: Address;
  /** Its libp2p PeerId, in base 58. */
  readonly peerId: string;
  /** keccak256 of the announcement's exact bytes. */
  readonly bodyHash: Hash;
  /** Unix milliseconds. */
  readonly timestamp: bigint;
  /** Grows with every announcement of this executor; the larger one counts. */
  readonly sequence: bigint;
}

/** What identifies a payment channel for ever: its hashStruct is the channel's id. Never signed. */
export interface ChannelTerms {
  /** Who pays; gets back what is not spent. */
  readonly client: Address;
  /** Who is paid. */
  readonly executor: Address;
  /** ERC-20 token; zero for the chain's native coin. */
  readonly asset: Address;
  /** Key that signs vouchers: the client's own, or a hot key of it. */
  readonly signer: Address;
  /** Seconds between the client's request to close and the end: 15 minutes to 30 days. */
  readonly closeDelay: number;
  /** 96 bits that tell apart channels alike in all else. */
  readonly salt: bigint;
}

/** That anyone may open a channel out of the client's credit. Signed by the client. */
export interface ChannelOpen {
  /** EIP-712 hashStruct of the {@linkcode ChannelTerms}. */
  readonly channelId: Hash;
  /** The deposit, in base units of the asset, below 2^96. */
  readonly amount: bigint;
  /** Unix seconds until which the permission counts. */
  readonly deadline: bigint;
}

/** Payment for all that was served on a channel so far; the newest covers all before. Signed by the channel's signer. */
export interface Voucher {
  /** EIP-712 hashStruct of the {@linkcode ChannelTerms}. */
  readonly channelId: Hash;
  /** Base units of the asset since the channel was opened, below 2^96. */
  readonly cumulativeAmount: bigint;
  /** Requests served since then. */
  readonly requests: bigint;
  /** Tokens of prompts since then. */
  readonly inboundTokens: bigint;
  /** Tokens of answers since then. */
  readonly outboundTokens: bigint;
  /** Append-only Merkle root over the receipts acknowledged; zero before the first. */
  readonly receiptsRoot: Hash;
}

/** That the client may close a channel at once. The executor's last act on that channel: signed by it. */
export interface CloseConsent {
  /** EIP-712 hashStruct of the {@linkcode ChannelTerms}. */
  readonly channelId: Hash;
  /** Base units that the executor gets in all. */
  readonly finalAmount: bigint;
  /** Unix seconds until which the consent counts: at most ten minutes ahead. */
  readonly deadline: bigint;
}

/** The messages by their EIP-712 type name. */
export interface Messages {
  /** See {@linkcode LlmRequestCommitment}. */
  LlmRequestCommitment: LlmRequestCommitment;
  /** See {@linkcode LlmResponseCommitment}. */
  LlmResponseCommitment: LlmResponseCommitment;
  /** See {@linkcode ExecutorAnnouncement}. */
  ExecutorAnnouncement: ExecutorAnnouncement;
  /** See {@linkcode ChannelTerms}. */
  ChannelTerms: ChannelTerms;
  /** See {@linkcode ChannelOpen}. */
  ChannelOpen: ChannelOpen;
  /** See {@linkcode Voucher}. */
  Voucher: Voucher;
  /** See {@linkcode CloseConsent}. */
  CloseConsent: CloseConsent;
}
/** An EIP-712 type name. */
export type MessageType = keyof Messages;
