/** The signed messages of a request as CBOR maps, under the names of their EIP-712 fields. @module */
import { fromHex } from "../bytes.ts";
import type { SignedRequest, SignedResponse } from "../ports.ts";
import type { CborValue, Fields } from "./cbor.ts";
import { MAX_MODEL_NAME_BYTES } from "./limits.ts";
import { SIGNATURE_BYTES, UINT32_MAX } from "../signing/typed_data.ts";

/** What `encodeCbor` takes. */
export type WireFields = { readonly [key: string]: CborValue };

/** A signed request as fields of a frame. */
export function signedRequestFields({ commitment: c, signature }: SignedRequest): WireFields {
  return {
    commitment: {
      channelId: fromHex(c.channelId),
      executor: fromHex(c.executor),
      model: c.model,
      promptHash: fromHex(c.promptHash),
      systemPromptHash: fromHex(c.systemPromptHash),
      maxTokens: c.maxTokens,
      temperature: c.temperature,
      inboundPrice: String(c.inboundPrice),
      outboundPrice: String(c.outboundPrice),
      nonce: c.nonce,
      deadline: c.deadline,
    },
    signature,
  };
}

/** The reverse of {@linkcode signedRequestFields}. @throws {LloomError} `frame_malformed` */
export function readSignedRequest(frame: Fields): SignedRequest {
  const f = frame.fields("commitment");
  const commitment = {
    channelId: f.hash("channelId"),
    executor: f.address("executor"),
    model: f.text("model", MAX_MODEL_NAME_BYTES),
    promptHash: f.hash("promptHash"),
    systemPromptHash: f.hash("systemPromptHash"),
    maxTokens: f.uint("maxTokens", UINT32_MAX),
    temperature: f.uint("temperature", UINT32_MAX),
    inboundPrice: f.amount("inboundPrice"),
    outboundPrice: f.amount("outboundPrice"),
    nonce: f.uint64("nonce"),
    deadline: f.uint64("deadline"),
  };
  f.finish();
  return { commitment, signature: frame.bytes("signature", SIGNATURE_BYTES, SIGNATURE_BYTES) };
}

/** A signed receipt as fields of a frame. */
export function signedResponseFields({ commitment: c, signature }: SignedResponse): WireFields {
  return {
    commitment: {
      requestHash: fromHex(c.requestHash),
      client: fromHex(c.client),
      model: c.model,
      contentHash: fromHex(c.contentHash),
      inboundTokens: c.inboundTokens,
      outboundTokens: c.outboundTokens,
      inboundPrice: String(c.inboundPrice),
      outboundPrice: String(c.outboundPrice),
      timestamp: c.timestamp,
      success: c.success,
    },
    signature,
  };
}

/** The reverse of {@linkcode signedResponseFields}. @throws {LloomError} `frame_malformed` */
export function readSignedResponse(frame: Fields): SignedResponse {
  const f = frame.fields("commitment");
  const commitment = {
    requestHash: f.hash("requestHash"),
    client: f.address("client"),
    model: f.text("model", MAX_MODEL_NAME_BYTES),
    contentHash: f.hash("contentHash"),
    inboundTokens: f.uint("inboundTokens", UINT32_MAX),
    outboundTokens: f.uint("outboundTokens", UINT32_MAX),
    inboundPrice: f.amount("inboundPrice"),
    outboundPrice: f.amount("outboundPrice"),
    timestamp: f.uint64("timestamp"),
    success: f.boolean("success"),
  };
  f.finish();
  return { commitment, signature: frame.bytes("signature", SIGNATURE_BYTES, SIGNATURE_BYTES) };
}
