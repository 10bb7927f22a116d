/**
 * Every number that meets the network, with its reason.
 * A peer that exceeds one gets a coded error, never more memory.
 * @module
 */

/** Largest request body: a prompt with a few images in base64. */
export const MAX_BODY_BYTES = 8 << 20;
/** Largest frame from a client: one body, its commitment and signature, and what pays for it. */
export const MAX_REQUEST_FRAME_BYTES: number = MAX_BODY_BYTES + 8192;
/** Largest frame from an executor. Deltas are cut well below; this leaves room for one large JSON line. */
export const MAX_RESPONSE_FRAME_BYTES = 1 << 20;
/** Deltas that wait for the socket are joined up to this size: one Yamux window of 256 KiB holds several. */
export const MAX_DELTA_BYTES = 64 << 10;
/** Largest answer, all deltas together: 100 k tokens with log-probabilities. A client stops reading there. */
export const MAX_RESPONSE_BYTES = 32 << 20;
/** Frames of one answer: more than any model writes tokens. Bounds what tiny frames can cost. */
export const MAX_DELTAS = 1 << 18;
/** Longest trailer of an answer: its fields at their largest, with JSON's escapes. */
export const MAX_TRAILER_BYTES = 16 << 10;
/**
 * Tokens that a chat template (some hundreds, with a default system prompt) and an image of few bytes
 * (576 in many models) may add to a request's own, which are no more than its bytes. A client accepts
 * no receipt for more: it is also the most that a lie about a short prompt can earn.
 */
export const TEMPLATE_TOKENS = 1024;
/** Bytes of a request's body that are reckoned as one token of its prompt, before it is counted. */
export const PROMPT_TOKEN_BYTES = 4;
/**
 * Tokens of one answer that are no text, such as its role and its end. A client accepts no receipt
 * for a paid answer of more tokens than its text has bytes, and these.
 */
export const UNSEEN_TOKENS = 16;
/** Longest time that a channel may take to close: 30 days, as in its contract. */
export const MAX_CLOSE_DELAY_S = 2_592_000;
/** Acknowledged receipts that a voucher lists: those that the executor may not know of, the newest first to stay. */
export const MAX_ACKNOWLEDGED_RECEIPTS = 64;
/** Longest time that an executor can be bound to a consent to close: ten minutes, as in its contract. */
export const MAX_CONSENT_S = 600;
/** Largest message of the protocol by which channels are closed: terms, or a consent, or why not. */
export const MAX_CLOSE_FRAME_BYTES = 4096;
/** Streams of one peer on which an executor agrees to close channels. */
export const MAX_CLOSE_STREAMS_PER_PEER = 2;
/**
 * How often one peer may have an executor look up a channel on the chain, or agree to close one: each
 * is a question to a node that may be paid by the question, or a signature and a write to the disk.
 */
export const CHANNEL_RATE = { burst: 10, perSecond: 0.2 } as const;
/** The same for channels that it does not know yet, of all clients together: names cost nothing. */
export const STRANGE_CHANNEL_RATE = { burst: 200, perSecond: 5 } as const;
/** Channels that an executor looks up on the chain at once. */
export const MAX_CHANNEL_READS = 16;
/** Longest wait that a peer may ask for: a day. */
export const MAX_RETRY_AFTER_MS = 86_400_000;
/**
 * Items in one CBOR message: a full page of models with all features has about 6,000. Without it,
 * 8 MiB of empty maps take a gigabyte and seconds to decode.
 */
export const MAX_CBOR_ITEMS = 16_384;
/** Texts that one request may ask to have continued: the server is asked for each in turn. */
export const MAX_PROMPTS = 16;
/** Inputs of one request for embeddings: as many as OpenAI takes. */
export const MAX_EMBEDDING_INPUTS = 2048;
/**
 * JSON values in one request: a thousand messages with twenty tool calls each, or two hundred
 * tools with rich schemas. Without it, 8 MiB of empty objects take 175 MiB.
 */
export const MAX_JSON_VALUES = 100_000;
/** Lists and objects in each other in any JSON: schemas of tools have ten or twenty. */
export const MAX_JSON_DEPTH = 128;
/** Largest announcement: 50 models with all fields. Gossip carries it to every node, so it is kept small. */
export const MAX_ANNOUNCEMENT_BYTES = 64 << 10;
/** An announcement with its signature, as gossip carries it and registries hand it on. */
export const MAX_SIGNED_ANNOUNCEMENT_BYTES: number = MAX_ANNOUNCEMENT_BYTES + 256;
/** Largest registry query. */
export const MAX_QUERY_BYTES = 16 << 10;
/**
 * Largest registry answer: two hundred announcements of usual size, or four of the largest. Larger
 * ones would wait in memory, at one stream each, for peers that do not read them.
 */
export const MAX_ANSWER_BYTES = 256 << 10;
/** Registry answers that may wait for their readers, altogether. Beyond it, only small ones are given. */
export const MAX_UNREAD_ANSWER_BYTES = 64 << 20;
/** Registry answers up to this size are always given: errors, statistics, one executor. */
export const SMALL_ANSWER_BYTES = 4 << 10;
/** How long a registry answer may wait for its reader: 26 KB/s for the largest. */
export const ANSWER_READ_TIMEOUT_MS = 10_000;
/** Streams of one peer on which a registry answers. */
export const MAX_REGISTRY_STREAMS_PER_PEER = 4;
/**
 * Registry queries of one peer: so many at once, and so many each second; a list of models counts
 * as ten. At worst that is a fifth of a CPU.
 */
export const QUERY_RATE = { burst: 200, perSecond: 20 } as const;

/** Models one executor may announce (wire 1 has the same cap). */
export const MAX_MODELS_PER_EXECUTOR = 50;
/** Multiaddrs one executor may announce: TCP and WebSocket on a few interfaces and relays. */
export const MAX_ADDRESSES_PER_EXECUTOR = 16;
/** Longest text of a PeerId; ours have 53 characters. */
export const MAX_PEER_ID_BYTES = 128;
/** Longest multiaddr: two PeerIds, a name of 253 letters and some protocols. */
export const MAX_MULTIADDR_BYTES = 512;
/** Longest model name in bytes; the longest in public registries are below 120. */
export const MAX_MODEL_NAME_BYTES = 256;
/** Longest other text a peer may put in a message: error messages, architecture names. */
export const MAX_TEXT_BYTES = 1024;
/** Longest name of a feature, a backend or an error code; ours have at most 23 characters. */
export const MAX_WORD_BYTES = 64;
/** Features a model may list. */
export const MAX_FEATURES_PER_MODEL = 32;
/** No model has a longer context; it keeps sums of tokens far from 2^53. */
export const MAX_CONTEXT_LENGTH = 1 << 30;
/** Requests that an executor may announce to have under way, in its queue, or room for: no node has more. */
export const MAX_LOAD = 1e6;
/** The fastest that a model may be announced as: none is. */
export const MAX_TOKENS_PER_SECOND = 1e6;
/** The slowest that a model may be announced as: eleven days, longer than any request is waited for. */
export const MAX_TIME_TO_FIRST_TOKEN_MS = 1e9;
/** Entries in one page of a registry answer. */
export const MAX_PAGE_SIZE = 100;

/** Longest time a request may ask to stay valid. Bounds how long nonces are remembered. */
export const MAX_DEADLINE_AHEAD_S = 3600;
/** How far clocks of two peers may differ. */
export const MAX_CLOCK_SKEW_S = 30;
/**
 * Nonces an executor remembers at once, for instance of 800 requests a second that may take ten
 * minutes. At 210 bytes each, 110 MiB. Beyond it, requests are refused.
 */
export const MAX_LIVE_NONCES = 1 << 19;
/**
 * Nonces of one client among them: 400 requests a second that may take five minutes each, as a gateway
 * asks for all who use it. A quarter of all, so that one client alone shortens nobody's deadlines.
 */
export const MAX_LIVE_NONCES_PER_CLIENT = 1 << 17;
/** Deadlines that are accepted of busy clients once half of all nonces that can be are remembered. */
export const SHORT_DEADLINE_S = 120;
/** Live nonces up to which a client is not busy, and may still ask for any deadline. */
export const FEW_LIVE_NONCES = 16;

/**
 * Requests one client connection may have open at an executor, each on a stream of its own: a gateway
 * asks for all who use it, and a thousand at once is what one process carries.
 */
export const MAX_STREAMS_PER_PEER = 1024;
/**
 * Bytes that all peers together may have this process hold: messages that have not come whole, and
 * requests being served. Copies for workers and backends come on top.
 */
export const MAX_INBOUND_BYTES = 256 << 20;
/** The same for one peer: some of the largest requests, and room for four such peers. */
export const MAX_INBOUND_BYTES_PER_PEER = 64 << 20;
/** Messages up to this size are not counted, to keep the common request cheap: 4 MiB for a peer with all its streams. */
export const UNCOUNTED_MESSAGE_BYTES = 4 << 10;
/** How long a message that is counted may take to come whole: the largest at 2.3 Mbit/s. */
export const MESSAGE_TIMEOUT_MS = 30_000;
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

/** Received bytes that wait for a stream's reader before the stream is paused. */
export const RECEIVE_HIGH_WATER_BYTES = 256 << 10;
/** Bytes that wait for the peer before a sender is told to wait: one initial Yamux window. */
export const SEND_HIGH_WATER_BYTES = 256 << 10;
/** Bytes that may wait for the peer at all: one request and one window, for a sender that cannot wait. */
export const MAX_SEND_BACKLOG_BYTES = 16 << 20;
/**
 * Largest Yamux window. It bounds what still arrives at a paused stream, and must stay below the
 * 4 MiB at which libp2p resets one; 1 MiB fills 80 Mbit/s at 100 ms.
 */
export const MAX_STREAM_WINDOW_BYTES = 1 << 20;
/** How long a stream's last bytes may wait for a peer that does not read. */
export const STREAM_CLOSE_TIMEOUT_MS = 10_000;

/** Connections of a node, unless set otherwise: each costs about 100 KiB. */
export const DEFAULT_MAX_CONNECTIONS = 500;
/** Inbound connections being negotiated at once: each costs a key exchange. */
export const MAX_PENDING_CONNECTIONS = 64;
/** How long an accepted connection may take to become a WebSocket, before libp2p's own time limits hold. */
export const WEB_SOCKET_HANDSHAKE_MS = 10_000;
/** How long a WebSocket waits for its peer to confirm that it closes. */
export const WEB_SOCKET_CLOSE_MS = 2_000;
/** Largest WebSocket message, before encryption and identity are settled; libp2p writes 64 KiB at a time. */
export const MAX_WEB_SOCKET_MESSAGE_BYTES = 1 << 20;
/** Inbound connections per second from one host. Many peers may share an address behind a NAT or in a demo. */
export const MAX_CONNECTIONS_PER_HOST_PER_S = 50;
/** Addresses of one peer that are tried before it counts as unreachable. */
export const MAX_ADDRESSES_TO_DIAL = 16;
/** How long a peer, with all its addresses, may take to be dialled. */
export const DIAL_TIMEOUT_MS = 10_000;
/** Streams of all protocols together that a peer may have open: inference's and the network's own. */
export const MAX_STREAMS_PER_CONNECTION = 1536;

/**
 * Streams that may come while this side still sets up their connection: a gateway's first requests, all
 * at once, and the network's own. libp2p's 10 would break the whole connection of a busy machine.
 */
export const MAX_EARLY_STREAMS: number = MAX_STREAMS_PER_PEER + 128;

/** How long a ping stream may rest. libp2p pings every ten seconds, on a new stream. */
export const PING_IDLE_MS = 10_000;

/** First and longest pause between two attempts to reach any bootstrap node. */
export const BOOTSTRAP_RETRY_MS = { first: 1000, longest: 60_000 } as const;

/**
 * How long a provider record counts. Below libp2p's hour for addresses: a record whose address was
 * forgotten would spoil the whole answer of the node that holds it.
 */
export const PROVIDER_RECORD_MS = 50 * 60_000;
/** Between two publications of the same provider record, so that one may fail. */
export const REPROVIDE_MS = 20 * 60_000;
/** How long one publication may take to spread, or to wait for the first node that takes it. */
export const PROVIDE_TIMEOUT_MS = 60_000;
/**
 * Nodes that a provider record should be with: two of them may be gone. While fewer hold it, every
 * node that becomes known has it published again.
 */
export const MIN_RECORD_HOLDERS = 3;
/**
 * Provider records of a node that are published at once. Each takes a stream of every node asked,
 * which refuses those above `MAX_DHT_STREAMS_PER_PEER`.
 */
export const MAX_PUBLICATIONS = 8;
/** Provider records a node keeps for others, some 200 bytes each; beyond it, the oldest are forgotten. */
export const MAX_PROVIDER_RECORDS = 16_384;
/** The same of one provider: an executor's models and its role, and what it offered shortly before. */
export const MAX_PROVIDER_RECORDS_PER_PEER = 128;
/** The same for one key; every question for it is answered with all. */
export const MAX_PROVIDER_RECORDS_PER_KEY = 256;
/** Longest key of a provider record; ours have 123 characters. */
export const MAX_PROVIDER_KEY_LENGTH = 192;
/** Peers whose addresses a node remembers; the oldest are forgotten. */
export const MAX_KNOWN_PEERS = 8192;
/** What these addresses may take in bytes; beyond it, too, the oldest are forgotten. */
export const MAX_KNOWN_PEER_BYTES = 16 << 20;
/** What is remembered of one peer: 16 addresses, protocols and a signed record take about 4 KiB. */
export const MAX_BYTES_PER_KNOWN_PEER = 32 << 10;
/** Questions to the DHT that one peer may have open. libp2p takes 4 MiB for each. */
export const MAX_DHT_STREAMS_PER_PEER = 16;
/** Peers one search for providers yields at most. */
export const MAX_PROVIDERS = 100;

/** Largest gossip packet. Answers to "I want" join announcements: a hundred of usual size, or 64 of the largest. */
export const MAX_GOSSIP_PACKET_BYTES = 4 << 20;
/** Bytes of gossip that may wait for one slow peer before its stream is cut. */
export const MAX_GOSSIP_BACKLOG_BYTES = 8 << 20;

/** Announcements being verified at once; at their largest, 64 MiB. More are ignored, and come again. */
export const MAX_GOSSIP_VALIDATIONS = 1024;

/**
 * Announcements that one peer may hand on, since each costs about two milliseconds: a heartbeat of
 * every executor that is kept makes 34 a second. The burst is for a peer that just came.
 */
export const GOSSIP_MESSAGES = { burst: 500, perSecond: 50 } as const;
/** The same in bytes: 10 KiB each. */
export const GOSSIP_BYTES = { burst: 8 << 20, perSecond: 512 << 10 } as const;

/** Peers that may be reachable through one relay. */
export const MAX_RELAY_RESERVATIONS = 256;
/** The same at one host, that a single one cannot take all places: a household, or a small office. */
export const MAX_RELAY_RESERVATIONS_PER_HOST = 8;
/** Bytes one relayed connection may carry: some hours of answers, or 30 of the largest requests. */
export const MAX_RELAYED_BYTES = 256 << 20;
/** How long one relayed connection may last; its peers then dial anew. */
export const MAX_RELAYED_MS = 3600_000;

/** Largest answer of an endpoint of the chain: the events of a few thousand blocks. */
export const MAX_RPC_ANSWER_BYTES = 16 << 20;
