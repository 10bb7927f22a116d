/**
 * What core needs and others provide. Each port has one compliance suite that all its
 * implementations pass.
 * @module
 */
import type { Address, Hash } from "./bytes.ts";
import type { ErrorData } from "./errors.ts";
import type {
  ChannelTerms,
  CloseConsent,
  ExecutorAnnouncement,
  LlmRequestCommitment,
  LlmResponseCommitment,
  Voucher,
} from "./signing/typed_data.ts";

/** Time, so that tests and simulations can own it. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Calls `fire` once after `ms`; the function returned disarms it. */
  setTimer(ms: number, fire: () => void): () => void;
}

/** A request's commitment before the hashes of its content are known. */
export type RequestDraft = Omit<LlmRequestCommitment, "promptHash" | "systemPromptHash">;

/** A request as the client signed it. */
export interface SignedRequest {
  /** What was signed. */
  readonly commitment: LlmRequestCommitment;
  /** 65 bytes: r, s (low), recovery id 0 or 1. */
  readonly signature: Uint8Array;
}

/** A receipt as the executor signed it. */
export interface SignedResponse {
  /** What was signed. */
  readonly commitment: LlmResponseCommitment;
  /** 65 bytes: r, s (low), recovery id 0 or 1. */
  readonly signature: Uint8Array;
}

/** A voucher as the channel's signer signed it. */
export interface SignedVoucher {
  /** What was signed. */
  readonly voucher: Voucher;
  /** 65 bytes: r, s (low), recovery id 0 or 1. */
  readonly signature: Uint8Array;
}

/** What a request on a channel comes with. */
export interface ChannelPayment {
  /** What the channel's id is the hash of. */
  readonly terms: ChannelTerms;
  /** The newest voucher; absent on a channel where none was needed yet. */
  readonly voucher?: SignedVoucher;
}

/**
 * Signs with this node's key: what is about a channel in its payment domain, all else in the free
 * one. Without a payment domain, every method rejects what is about a channel as `payment_required`.
 */
export interface Signer {
  /** The Ethereum address of the key. */
  readonly address: Address;
  /**
   * Hashes body and system prompt with the salt, and signs the whole.
   * @param systemPrompt empty for none
   * @param voucher to be signed along, of the same channel
   */
  signRequest(
    draft: RequestDraft,
    body: Uint8Array,
    salt: Uint8Array,
    systemPrompt: string,
    voucher?: Voucher,
  ): Promise<
    SignedRequest & { readonly requestHash: Hash; readonly voucher?: SignedVoucher }
  >;
  /** Signs a receipt. @param channelId that of the request; zero for a free one */
  signResponse(
    commitment: LlmResponseCommitment,
    channelId: Hash,
  ): Promise<SignedResponse & { readonly responseHash: Hash }>;
  /** Signs a voucher. */
  signVoucher(voucher: Voucher): Promise<SignedVoucher>;
  /** Signs that a channel may be closed at once. */
  signConsent(consent: CloseConsent): Promise<Uint8Array>;
  /** Signs an announcement over the hash of its exact bytes. */
  signAnnouncement(
    fields: Omit<ExecutorAnnouncement, "bodyHash" | "executor">,
    body: Uint8Array,
  ): Promise<Uint8Array>;
}

/**
 * Checks signatures, in the domains that a {@linkcode Signer} uses. Every method throws
 * `signature_invalid` for one that is not canonical, and `payment_required` for what is about a
 * channel where there is no payment domain.
 */
export interface Verifier {
  /**
   * Who signed a request, having checked that `promptHash` is the hash of `salt` and `body`.
   * @param payment what came with it, if anything did: checked to be its channel's
   * @throws {LloomError} `request_invalid` if body or terms are not those that were signed;
   * `signer_mismatch` if another than the channel's signer signed; `voucher_invalid` if the voucher
   * is of another channel, or not signed by that signer
   */
  verifyRequest(
    request: SignedRequest,
    body: Uint8Array,
    salt: Uint8Array,
    payment?: ChannelPayment,
  ): Promise<{ readonly client: Address; readonly requestHash: Hash }>;
  /**
   * Who signed a receipt, having checked that `contentHash` is the hash of the delivered bytes.
   * @param content the delivered bytes, in order
   * @param channelId that of the request; zero for a free one
   * @throws {LloomError} `receipt_invalid` if it is not
   */
  verifyResponse(
    response: SignedResponse,
    content: readonly Uint8Array[],
    channelId: Hash,
  ): Promise<{ readonly executor: Address; readonly responseHash: Hash }>;
  /** Who signed a voucher. The caller compares it with the signer that the channel's terms name. */
  verifyVoucher(signed: SignedVoucher): Promise<{ readonly signer: Address }>;
  /** Who signed a consent. The caller compares it with the executor that the channel's terms name. */
  verifyConsent(
    consent: CloseConsent,
    signature: Uint8Array,
  ): Promise<{ readonly executor: Address }>;
  /** Who signed an announcement. The caller compares it with the `executor` it names. */
  verifyAnnouncement(
    fields: Omit<ExecutorAnnouncement, "bodyHash">,
    body: Uint8Array,
    signature: Uint8Array,
  ): Promise<{ readonly executor: Address }>;
}

/**
 * Remembers which nonces were used, across restarts.
 * A nonce is forgotten once its deadline, and the clock skew allowed, have passed.
 */
export interface NonceStore {
  /**
   * Marks a nonce as used; false if it was used already.
   * @param deadline unix seconds until which the nonce must be remembered
   * @throws {LloomError} `overloaded` if no more can be remembered
   */
  use(client: Address, nonce: bigint, deadline: number): Promise<boolean>;
}

/** One request to a language model. */
export interface InferenceJob {
  /** The model's name as announced. */
  readonly model: string;
  /** The request, exactly as the client sent it. */
  readonly body: Uint8Array;
  /** What the body must agree with. */
  readonly commitment: LlmRequestCommitment;
  /** What the commitment's `promptHash` was salted with. */
  readonly salt: Uint8Array;
  /** Who asks: what there is of a model is shared among clients. Absent for this node itself. */
  readonly client?: Address;
}

/** How an answer ended. */
export interface InferenceEnd {
  /** The last line of the delivered bytes (`protocol/trailer.ts`), already part of `contentHash`. */
  readonly trailer: Uint8Array;
  /** keccak256 over every batch and the trailer. */
  readonly contentHash: Hash;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens of the answer: no more than the commitment's `maxTokens`. */
  readonly completionTokens: number;
  /** Whether the model finished by itself. */
  readonly success: boolean;
}

/** Receives an answer. Exactly one of `end` and `fail` is the last call. */
export interface InferenceSink {
  /**
   * A part of the answer.
   * @param lines one or more whole lines of JSON, each ended by a line feed
   * @param tokens about how many they hold, never more than their text has bytes: what is paid while
   * the answer goes on. The exact count comes with the end
   */
  batch(lines: Uint8Array, tokens: number): void;
  /** The answer is over: complete, or cut short for the reason in its trailer. */
  end(end: InferenceEnd): void;
  /** There is no answer: nothing was delivered. */
  fail(error: ErrorData): void;
}

/** An answer being produced. */
export interface InferenceRun {
  /** Stops reading from the model until {@linkcode InferenceRun.resume}; a few batches may still come. */
  pause(): void;
  /** Reads on. */
  resume(): void;
  /** Stops the model at once. `end` follows with what was delivered, or `fail` if nothing was. */
  cancel(reason: ErrorData): void;
}

/** Language models, off the main isolate. */
export interface Inference {
  /** Starts an answer. Never throws: what goes wrong comes through the sink. */
  run(job: InferenceJob, sink: InferenceSink): InferenceRun;
}

/**
 * A stream of whole messages between two peers, with back-pressure both ways
 * (`net/frame_stream.ts` over libp2p).
 */
export interface MessageStream {
  /** The next message; undefined once the other side has ended in order. @throws {LloomError} if the stream broke */
  next(): Promise<Uint8Array | undefined>;
  /** Queues a message; false if the other side should be waited for with {@linkcode MessageStream.drained}. */
  send(message: Uint8Array): boolean;
  /** Resolves when more can be sent. @throws {LloomError} if the stream broke */
  drained(signal?: AbortSignal): Promise<void>;
  /** Ends this side in order, after all that was sent. */
  close(): Promise<void>;
  /** Breaks the stream, in both directions. */
  abort(error: Error): void;
}
