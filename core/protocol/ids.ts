/** The names by which Lloom nodes find each other's protocols, gossip and provider records. @module */

/** Kademlia of Lloom's own network: its nodes never mix with another network's. */
export const KAD_PROTOCOL = "/lloom/kad/1.0.0";
/** Inference between a client and an executor. */
export const LLM_PROTOCOL = "/lloom/llm/2.0.0";
/** Closing payment channels, between a client and an executor. */
export const CHANNEL_PROTOCOL = "/lloom/channel/1.0.0";
/** Queries to a validator about who serves what. */
export const REGISTRY_PROTOCOL = "/lloom/registry/2.0.0";
/** The gossip topic of announcements. */
export const ANNOUNCEMENTS_TOPIC = "/lloom/announcements/1.0.0";

/** What a node may be found as in the DHT. Its sha-256, as a raw CID, is the key of the provider records. */
export type ProviderKey = `lloom/${string}`;

/** The key under which nodes of a role are found. */
export function roleKey(role: "executor" | "validator"): ProviderKey {
  return `lloom/${role}`;
}

/** The key under which executors that serve a model are found, by its name as announced. */
export function modelKey(name: string): ProviderKey {
  return `lloom/model/${name}`;
}
