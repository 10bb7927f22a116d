/** Gossip of announcements: how libp2p's gossipsub is set. @module */
import { type GossipSub, gossipsub, TopicValidatorResult } from "@libp2p/gossipsub";
import { getLogger } from "@logtape/logtape";
import {
  GOSSIP_BYTES,
  GOSSIP_MESSAGES,
  MAX_GOSSIP_BACKLOG_BYTES,
  MAX_GOSSIP_PACKET_BYTES,
  MAX_GOSSIP_VALIDATIONS,
  MAX_SIGNED_ANNOUNCEMENT_BYTES,
} from "../protocol/limits.ts";
import { ANNOUNCEMENTS_TOPIC } from "../protocol/ids.ts";
import { FloodGuard } from "./flood_guard.ts";
import type { AnnouncementValidator } from "./options.ts";

type Components = Parameters<ReturnType<typeof gossipsub>>[0];

const log = getLogger(["lloom", "net"]);

/** Scores as in https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md */
const TOPIC_SCORE = {
  topicWeight: 1,
  timeInMeshWeight: 0.01,
  timeInMeshQuantum: 1000,
  timeInMeshCap: 300,
  firstMessageDeliveriesWeight: 1,
  firstMessageDeliveriesDecay: 0.5,
  firstMessageDeliveriesCap: 20,
  // A heartbeat every 30 seconds is little: silence must cost a peer nothing.
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 1,
  meshMessageDeliveriesThreshold: 1,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  // Who forwards what it should have refused is unheard after the third time, for about two minutes.
  invalidMessageDeliveriesWeight: -20,
  invalidMessageDeliveriesDecay: 0.995,
};

/**
 * The service. Messages carry no libp2p signature, since every announcement is signed by its
 * executor; they are told apart by their content.
 */
export function announcementGossip(): (components: Components) => GossipSub {
  return gossipsub({
    globalSignaturePolicy: "StrictNoSign",
    allowedTopics: [ANNOUNCEMENTS_TOPIC],
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    fallbackToFloodsub: false,
    maxInboundDataLength: MAX_GOSSIP_PACKET_BYTES,
    maxOutboundBufferSize: MAX_GOSSIP_BACKLOG_BYTES,
    scoreParams: {
      topics: { [ANNOUNCEMENTS_TOPIC]: TOPIC_SCORE },
      // A demo runs all its nodes at one address.
      IPColocationFactorWhitelist: new Set(["127.0.0.1", "::1"]),
    },
  });
}

/**
 * Asks `validator` about every message before it is forwarded. What it throws is ignored, and so is
 * more than a peer should send; a peer that goes on regardless is blamed.
 * @param maxConnections of this node; twice as many peers are counted, as some come and go
 */
export function validateGossip(
  gossip: GossipSub,
  validator: AnnouncementValidator,
  maxConnections: number,
): void {
  let running = 0;
  const guard = new FloodGuard(
    { messages: GOSSIP_MESSAGES, bytes: GOSSIP_BYTES, maxPeers: 2 * maxConnections },
    () => performance.now(),
  );
  gossip.topicValidators.set(ANNOUNCEMENTS_TOPIC, async (from, { data }) => {
    if (data.length > MAX_SIGNED_ANNOUNCEMENT_BYTES) return TopicValidatorResult.Reject;
    const flow = guard.count(from.toString(), data.length);
    if (flow === "far_above") return TopicValidatorResult.Reject;
    if (flow === "above") return TopicValidatorResult.Ignore;
    if (running >= MAX_GOSSIP_VALIDATIONS) return TopicValidatorResult.Ignore;
    running++;
    try {
      return VERDICTS[await validator(data, from.toString())];
    } catch (error) {
      log.error("validate announcement: the validator failed", { error });
      return TopicValidatorResult.Ignore;
    } finally {
      running--;
    }
  });
}

const VERDICTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};
