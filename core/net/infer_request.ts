/** One request to one executor, and its answer, as the caller sees them. @module */
import type { Address, Hash } from "../bytes.ts";
import type { ErrorData } from "../errors.ts";
import type { Allowance } from "../payments/allowance.ts";
import type { Cost } from "../payments/amounts.ts";
import type { Payer, PaymentTerms } from "../payments/ports.ts";
import type {
  Clock,
  MessageStream,
  RequestDraft,
  SignedRequest,
  SignedResponse,
  Signer,
  Verifier,
} from "../ports.ts";
import type { Trailer } from "../protocol/trailer.ts";
import type { ReceiptPayment } from "./paying.ts";

/** What a client of inference works with. */
export interface InferClientComponents {
  /** Times requests. */
  readonly clock: Clock;
  /** Signs requests. */
  readonly signer: Signer;
  /** Checks receipts. */
  readonly verifier: Verifier;
  /** Opens a stream to an executor. @throws {LloomError} `peer_unreachable` */
  readonly openStream: (executor: ExecutorPeer, signal: AbortSignal) => Promise<MessageStream>;
  /** Pays; without it, only what is free can be asked. */
  readonly payer?: Payer;
}

/** An executor to ask. */
export interface ExecutorPeer {
  /** Where its streams lead. */
  readonly peerId: string;
  /** Who must sign its receipts. */
  readonly address: Address;
  /** Where it may be reached; absent if the node knows. */
  readonly multiaddrs?: readonly string[];
}

/** One request, before it is signed. */
export interface InferRequest {
  /** The request's exact bytes. */
  readonly body: Uint8Array;
  /** Its system prompt; empty for none. */
  readonly systemPrompt: string;
  /** Answers asked for: `n`. */
  readonly answers: number;
  /** How the executor wants to be paid, as it announces; absent where it did not say. */
  readonly payment?: PaymentTerms;
  /** What it may cost, with other attempts at the same answer; absent for no limit but the payer's. */
  readonly allowance?: Allowance;
  /** Makes the commitment; called again, for another nonce, where a request must be sent anew. */
  readonly draft: () => RequestDraft;
}

/** A proven answer: everything needed to show, to anyone, what was asked and delivered. */
export interface Receipt {
  /** Who answered. */
  readonly executor: ExecutorPeer;
  /** What the client signed. */
  readonly request: SignedRequest;
  /** The request's EIP-712 hash, which the receipt repeats. */
  readonly requestHash: Hash;
  /** What `promptHash` was salted with. */
  readonly salt: Uint8Array;
  /** What the executor signed. */
  readonly response: SignedResponse;
  /** How the answer ended, and its tokens. */
  readonly trailer: Trailer;
  /** All delivered bytes, the trailer last: what `contentHash` is the hash of. */
  readonly content: Uint8Array;
  /** How it was paid; absent if it was free. */
  readonly payment?: ReceiptPayment;
  /** Why the caller cancelled, if it did. */
  readonly cancelled?: ErrorData;
}

/**
 * An answer under way: iterate for its lines as they come. Iteration ends when a receipt proves
 * that the answer is complete, and throws otherwise: also where a receipt proves a part of it.
 * Leaving the iteration early cancels the request.
 */
export interface InferAnswer extends AsyncIterable<Uint8Array> {
  /** The proof, also of a part; rejects if there is none. */
  readonly receipt: Promise<Receipt>;
  /** The hash of the request as it was last signed; undefined before. */
  readonly requestHash: Hash | undefined;
  /** What was paid for it so far, and once it is over, what it came to. */
  readonly spent: Cost;
  /** All lines that came, as one run of bytes. */
  delivered(): Uint8Array;
}
