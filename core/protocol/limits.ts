/**
 * Every number that meets the network, with its reason.
 * A peer that exceeds one gets a coded error, never more memory.
 * @module
 */

/** Largest chat request body: a prompt with a few images in base64. */
export const MAX_BODY_BYTES = 8 << 20;
/** Largest frame from a client: one body, its commitment and signature. */
export const MAX_REQUEST_FRAME_BYTES = MAX_BODY_BYTES + 4096;
/** Largest frame from an executor. Deltas are cut well below; this leaves room for one large JSON line. */
export const MAX_RESPONSE_FRAME_BYTES = 1 << 20;
/** Deltas that wait for the socket are joined up to this size: one Yamux window of 256 KiB holds several. */
export const MAX_DELTA_BYTES = 64 << 10;
/** Largest answer, all deltas together: 100 k tokens with log-probabilities. A client stops reading there. */
export const MAX_RESPONSE_BYTES = 32 << 20;
/** Largest announcement: 50 models with all fields. Gossip carries it to every node, so it is kept small. */
export const MAX_ANNOUNCEMENT_BYTES = 64 << 10;
/** Largest registry query. */
export const MAX_QUERY_BYTES = 16 << 10;
/** Largest registry answer: a page of {@linkcode MAX_PAGE_SIZE} announcements of usual size. */
export const MAX_ANSWER_BYTES = 4 << 20;

/** Models one executor may announce (wire 1 has the same cap). */
export const MAX_MODELS_PER_EXECUTOR = 50;
/** Multiaddrs one executor may announce: TCP and WebSocket on a few interfaces and relays. */
export const MAX_ADDRESSES_PER_EXECUTOR = 16;
/** Longest model name in bytes; the longest in public registries are below 120. */
export const MAX_MODEL_NAME_BYTES = 256;
/** Longest other text a peer may put in a message: error messages, architecture names. */
export const MAX_TEXT_BYTES = 1024;
/** Features a model may list. */
export const MAX_FEATURES_PER_MODEL = 32;
/** Entries in one page of a registry answer. */
export const MAX_PAGE_SIZE = 100;

/** Longest time a request may ask to stay valid. Bounds how long nonces are remembered. */
export const MAX_DEADLINE_AHEAD_S = 3600;
/** How far clocks of two peers may differ. */
export const MAX_CLOCK_SKEW_S = 30;
/** Nonces an executor remembers at once; at 64 bytes each, about 64 MiB. Beyond it, requests are refused. */
export const MAX_LIVE_NONCES = 1 << 20;

/** Requests one client connection may have open at an executor: each one is a stream. */
export const MAX_STREAMS_PER_PEER = 256;
/** Idle inference streams a client keeps open to one executor, to save the negotiation of the next request. */
export const MAX_IDLE_STREAMS_PER_PEER = 64;
/** How long a stream may wait between two requests. Longer at the executor, so that the client closes first. */
export const IDLE_STREAM_MS = 60_000;

/** Between two announcements of an executor that has nothing new to say. */
export const HEARTBEAT_MS = 30_000;
/** An executor not heard of for this long is listed as unavailable (three heartbeats missed). */
export const STALE_AFTER_MS = 90_000;
/** An executor not heard of for this long is forgotten. */
export const GONE_AFTER_MS = 300_000;
/** Executors a registry keeps. */
export const MAX_EXECUTORS = 1000;
