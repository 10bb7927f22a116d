/** Checks a receipt file offline, and says what it proves, and what it does not. @module */
import { type Address, type Hash, toHex, ZERO_HASH } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { addressOfPeerId } from "../identity/peer_id.ts";
import { textBytes } from "../protocol/answer_text.ts";
import { answersOf, parseModelRequest } from "../protocol/model_request.ts";
import { isJsonObject, parseJsonText } from "../protocol/json.ts";
import { decodeTrailer, type Trailer } from "../protocol/trailer.ts";
import { receiptExcess, receiptFault } from "../session/receipt_check.ts";
import { createTypedDataHasher } from "../signing/encode.ts";
import { assertCanonical, type Primitives } from "../signing/primitives.ts";
import {
  FREE_DOMAIN,
  type LlmRequestCommitment,
  type LlmResponseCommitment,
  type MessageType,
  type SigningDomain,
  type Voucher,
} from "../signing/typed_data.ts";
import { type Cost, costOf } from "./amounts.ts";
import { leafOf, rootOfProof } from "./merkle.ts";
import { type Party, readReceiptFile, type ReceiptClaims, type SignedIn } from "./read_receipt.ts";

/** What one signature proves. */
export interface Proof {
  /** Who signed. */
  readonly signer: Address;
  /** In which part. */
  readonly role: "client" | "executor";
  /** What it thereby said, as the end of a sentence. */
  readonly said: string;
}

/** A receipt file whose signatures and hashes hold. */
export interface VerifiedReceipt {
  /** Where the signatures count; the free domain for a request that cost nothing. */
  readonly domain: SigningDomain;
  /** What the client asked for, signed by it. */
  readonly asked: LlmRequestCommitment;
  /** hashStruct of that. */
  readonly requestHash: Hash;
  /** Who asked. */
  readonly client: Address;
  /** The request's exact text; absent if the file leaves it out. */
  readonly body?: string;
  /** What the executor delivered, signed by it. */
  readonly delivered: LlmResponseCommitment;
  /** hashStruct of that. */
  readonly responseHash: Hash;
  /** The first answer's text; absent if the file leaves out what was delivered. */
  readonly answer?: string;
  /** How the answer ended; absent like `answer`. */
  readonly trailer?: Trailer;
  /** How it was paid; absent if it was free. */
  readonly payment?: {
    /** Who pays in the end. */
    readonly payer: Address;
    /** What the channel holds: a token, or zero for the chain's coin. */
    readonly asset: Address;
    /** What the receipt comes to at its prices. */
    readonly cost: Cost;
    /** The voucher that acknowledges this receipt; absent without one. */
    readonly voucher?: Voucher;
  };
  /** What the executor claims beyond what it may: the receipt then speaks against it. */
  readonly excess?: string;
  /** Which signature proves what. */
  readonly proofs: readonly Proof[];
  /** What this file does not prove. */
  readonly unproven: readonly string[];
}

/**
 * Checks a receipt file.
 * @param file its bytes, from anywhere
 * @throws {LloomError} `receipt_invalid` if any part of it does not hold
 */
export function verifyReceiptFile(file: Uint8Array, primitives: Primitives): VerifiedReceipt {
  try {
    return verify(readReceiptFile(file), primitives);
  } catch (thrown) {
    if (!(thrown instanceof LloomError) || thrown.code === "receipt_invalid") throw thrown;
    throw invalid(thrown.message, thrown);
  }
}

function verify(claims: ReceiptClaims, primitives: Primitives): VerifiedReceipt {
  const { request, receipt, body, delivered, payment } = claims;
  const { message: asked, domain } = request;
  const isFree = asked.channelId === ZERO_HASH;
  if (!sameDomain(domain, receipt.domain)) throw invalid("its parts are of different chains");
  if (isFree && !sameDomain(domain, FREE_DOMAIN)) throw invalid("a free request is of no chain");
  if (isFree !== (payment === undefined)) throw invalid("payment and channel contradict");

  const recover = recoverer(primitives, domain);
  const { hash: requestHash, signer: client } = recover("LlmRequestCommitment", request);
  const { hash: responseHash, signer: executor } = recover("LlmResponseCommitment", receipt);
  if (executor !== asked.executor) throw invalid("another executor than the one asked signed it");
  const bodyBytes = body === undefined ? undefined : encoder.encode(body);
  if (bodyBytes !== undefined) checkPrompt(primitives, claims, bodyBytes);
  const answer = delivered === undefined ? undefined : readAnswer(primitives, claims, delivered);

  const { message: said } = receipt;
  // What a session holds against its own clock is here only that of the deadline.
  const subject = { asked, requestHash, client, bodyBytes: bodyBytes?.length ?? Infinity };
  const trailer = answer?.trailer ?? trailerOf(said);
  const fault = receiptFault(said, trailer, subject, 1000 * Number(said.timestamp));
  if (fault !== undefined) throw invalid(`it has ${fault}`);
  const text = answer && bodyBytes && !isFree
    ? { textBytes: answer.textBytes, answers: answersOf(parseModelRequest(bodyBytes)) }
    : undefined;
  const excess = receiptExcess(said, subject, text);
  checkRepeated(claims, client, answer);
  const paid = payment && checkPayment(primitives, recover, claims, {
    requestHash,
    responseHash,
    client,
  });

  return {
    domain,
    asked,
    requestHash,
    client,
    ...(body !== undefined && { body }),
    delivered: said,
    responseHash,
    ...(answer && { answer: answer.text, trailer: answer.trailer }),
    ...(paid && { payment: paid }),
    ...(excess !== undefined && { excess }),
    proofs: proofsOf(claims, client, paid?.voucher),
    unproven: unprovenOf(claims, paid?.voucher),
  };
}

const encoder = new TextEncoder();

type Recover = <T extends MessageType>(
  type: T,
  signed: SignedIn<T>,
) => { readonly hash: Hash; readonly signer: Address };

function recoverer({ keccak256, recover }: Primitives, domain: SigningDomain): Recover {
  const hasher = createTypedDataHasher(keccak256, domain);
  return (type, { message, signature }) => {
    assertCanonical(signature);
    const hash = hasher.hashStruct(type, message);
    return { hash: toHex(hash), signer: recover(hasher.digestOfStruct(hash), signature) };
  };
}

function checkPrompt({ keccak256 }: Primitives, claims: ReceiptClaims, body: Uint8Array): void {
  const { request: { message }, salt } = claims;
  if (toHex(keccak256(salt, body)) !== message.promptHash) {
    throw invalid("the request's body is not the one signed");
  }
}

interface Answer {
  readonly text: string;
  readonly textBytes: number;
  readonly trailer: Trailer;
}

/** The delivered lines, which end with the trailer. */
function readAnswer({ keccak256 }: Primitives, claims: ReceiptClaims, delivered: string): Answer {
  const bytes = encoder.encode(delivered);
  if (toHex(keccak256(bytes)) !== claims.receipt.message.contentHash) {
    throw invalid("what was delivered is not what was signed");
  }
  const end = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1;
  const lines = bytes.subarray(0, end);
  return {
    text: firstAnswer(lines),
    textBytes: textBytes(lines),
    trailer: decodeTrailer(bytes.subarray(end)),
  };
}

/** The text of the first answer in lines of `choices`. */
function firstAnswer(lines: Uint8Array): string {
  let text = "";
  for (const line of new TextDecoder().decode(lines).split("\n")) {
    const value = line === "" ? undefined : parseJsonText(line);
    const choices: readonly unknown[] = isJsonObject(value) && Array.isArray(value.choices)
      ? value.choices
      : [];
    const first = choices.filter(isJsonObject).find(({ index }, at) =>
      (typeof index === "number" ? index : at) === 0
    );
    const said = isJsonObject(first?.delta) ? first.delta.content : first?.text;
    if (typeof said === "string") text += said;
  }
  return text;
}

/** What the commitment alone says of how an answer ended. */
function trailerOf({ inboundTokens, outboundTokens, success }: LlmResponseCommitment): Trailer {
  return {
    finish: success ? "stop" : "error",
    promptTokens: inboundTokens,
    completionTokens: outboundTokens,
    countedBy: "backend",
  };
}

/** What a file repeats for its reader must be what was signed: who reads on is not to be misled. */
function checkRepeated(
  { request: { message: asked }, receipt: { message: said }, repeated }: ReceiptClaims,
  client: Address,
  answer: Answer | undefined,
): void {
  checkParty(repeated.executor, asked.executor, "executor");
  checkParty(repeated.client, client, "client");
  const { content, model, finish, usage } = repeated;
  const wrong = model !== undefined && model !== asked.model ? "model" : usage !== undefined &&
      (usage.promptTokens !== said.inboundTokens ||
        usage.completionTokens !== said.outboundTokens)
    ? "usage"
    : answer !== undefined && content !== undefined && content !== answer.text
    ? "content"
    : answer !== undefined && finish !== undefined && finish !== answer.trailer.finish
    ? "finish"
    : undefined;
  if (wrong !== undefined) throw invalid(`its ${wrong} is not what was signed`);
}

function checkParty({ peerId, address }: Party, signer: Address, name: string): void {
  if (address !== signer) throw invalid(`its ${name} is not who signed`);
  if (peerId !== undefined && addressOfPeerId(peerId) !== signer) {
    throw invalid(`the PeerId of its ${name} is another's`);
  }
}

function checkPayment(
  primitives: Primitives,
  recover: Recover,
  { request: { message: asked, domain }, receipt: { message: said }, payment }: ReceiptClaims,
  { requestHash, responseHash, client }: {
    readonly requestHash: Hash;
    readonly responseHash: Hash;
    readonly client: Address;
  },
): NonNullable<VerifiedReceipt["payment"]> {
  const { terms, cost: claimed, voucher, acknowledged } = payment!;
  const { keccak256 } = primitives;
  const hasher = createTypedDataHasher(keccak256, domain);
  if (toHex(hasher.hashStruct("ChannelTerms", terms)) !== asked.channelId) {
    throw invalid("the terms are of another channel");
  }
  if (terms.executor !== asked.executor) throw invalid("the channel pays another executor");
  if (terms.signer !== client) throw invalid("another than the channel's signer asked");
  const cost = costOf(asked, said.inboundTokens, said.outboundTokens);
  if (claimed !== cost) throw invalid("its cost is not that of its tokens");
  const paid = { payer: terms.client, asset: terms.asset, cost };
  if (voucher === undefined) return paid;
  if (!sameDomain(voucher.domain, domain)) throw invalid("the voucher is of another chain");
  if (voucher.message.channelId !== asked.channelId) {
    throw invalid("the voucher is of another channel");
  }
  if (recover("Voucher", voucher).signer !== terms.signer) {
    throw invalid("another than the channel's signer signed the voucher");
  }
  if (acknowledged === undefined) return paid;
  const { receiptsRoot, requests } = voucher.message;
  const leaf = leafOf(keccak256, requestHash, responseHash, cost);
  const { index, path } = acknowledged;
  if (rootOf(primitives, leaf, index, requests, path) !== receiptsRoot) {
    throw invalid("the voucher does not acknowledge it");
  }
  return { ...paid, voucher: voucher.message };
}

function rootOf(
  { keccak256 }: Primitives,
  leaf: Hash,
  index: number,
  size: bigint,
  path: readonly Hash[],
): Hash {
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid("no channel has so many receipts");
  try {
    return rootOfProof(keccak256, leaf, index, Number(size), path);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw invalid("the proof that the voucher acknowledges it is none", cause);
  }
}

function proofsOf(
  { request, receipt, body, delivered }: ReceiptClaims,
  client: Address,
  voucher: Voucher | undefined,
): readonly Proof[] {
  const { executor } = request.message;
  const words = body === undefined ? "words of which only a salted hash is here" : "these words";
  const bytes = delivered === undefined ? "bytes of which only the hash is here" : "these bytes";
  return [
    { signer: client, role: "client", said: `it asked this executor, at these terms, in ${words}` },
    {
      signer: executor,
      role: "executor",
      said: `it answered this request with ${bytes}, ${
        receipt.message.success ? "to the end" : "and not to the end"
      }, and counted these tokens`,
    },
    ...(voucher === undefined ? [] : [{
      signer: client,
      role: "client" as const,
      said: "it accepts this receipt, and owes what the voucher says for all it has accepted",
    }]),
  ];
}

function unprovenOf(
  { body, delivered, payment }: ReceiptClaims,
  voucher: Voucher | undefined,
): readonly string[] {
  return [
    ...(body === undefined ? ["what was asked: the file does not hold the request's body"] : []),
    ...(delivered === undefined
      ? ["what was answered: the file does not hold what was delivered"]
      : []),
    "that this model wrote the answer, and that the tokens of the prompt were counted rightly: the executor's word",
    "when this was: the date is the executor's word, up to the request's deadline",
    ...(payment === undefined
      ? []
      : voucher === undefined
      ? ["that the client accepts this receipt: no voucher in the file acknowledges it"]
      : ["that the voucher was redeemed, or that a deposit covers it: only the chain knows"]),
  ];
}

function sameDomain(a: SigningDomain, b: SigningDomain): boolean {
  return a.chainId === b.chainId && a.verifyingContract === b.verifyingContract;
}

function invalid(why: string, cause?: unknown): LloomError {
  return new LloomError("receipt_invalid", `verify receipt: ${why}`, { cause });
}
