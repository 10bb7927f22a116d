/** Who a node is: key, PeerId and Ethereum address. @module */
export * from "./identity.ts";
export { addressOfPeerId } from "./peer_id.ts";
