/** The network: a libp2p node, streams of messages, and both ends of inference over them. @module */
export { createNode, LloomNode } from "./node.ts";
export type { HandleOptions, OpenOptions, PeerTarget, RemotePeer, StreamHandler } from "./node.ts";
export { FrameStream, type FrameStreamOptions } from "./frame_stream.ts";
export { areLoopback } from "./addresses.ts";
export * from "./byte_budget.ts";
export * from "./options.ts";
export * from "./announcer.ts";
export * from "./directory.ts";
export * from "./provider_records.ts";
export * from "./close_client.ts";
export * from "./close_server.ts";
export * from "./infer_client.ts";
export * from "./infer_request.ts";
export type { ReceiptPayment } from "./paying.ts";
export * from "./infer_server.ts";
export type { ServedRequest, ServingComponents } from "./serving.ts";
