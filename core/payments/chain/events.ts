/** The contract's events, as endpoints list them. @module */
import { LLOOM_CHANNELS_ABI } from "@lloom/contracts";
import { decodeEventLog, encodeEventTopics } from "viem/utils";
import type { Address, Hash, Hex } from "../../bytes.ts";
import type { ChannelChange, ChannelEvent } from "./ports.ts";
import {
  readAddress,
  readCount,
  readHash,
  readHex,
  readQuantity,
  readRecord,
} from "./rpc_values.ts";

const NAMES = ["ChannelOpened", "ToppedUp", "Redeemed", "CloseRequested", "ChannelClosed"] as const;

/** The first topics of the events that concern channels. */
export const CHANNEL_TOPICS: readonly Hash[] = NAMES.map((eventName) =>
  encodeEventTopics({ abi: LLOOM_CHANNELS_ABI, eventName })[0]
);

/** An event of an `eth_getLogs` answer. @throws {Error} if it is none of the contract's */
export function readEvent(value: unknown, contract: Address): ChannelEvent {
  const log = readRecord(value);
  if (readAddress(log["address"]) !== contract || !Array.isArray(log["topics"])) {
    throw new TypeError("read event: another contract's");
  }
  const [first, ...others] = log["topics"].map(readHash);
  if (first === undefined) throw new TypeError("read event: no topic");
  const { channelId, change } = decode(readHex(log["data"]), [first, ...others]);
  return {
    channelId: readHash(channelId),
    change,
    blockNumber: readQuantity(log["blockNumber"]),
    blockHash: readHash(log["blockHash"]),
    logIndex: readCount(log["logIndex"]),
    transactionHash: readHash(log["transactionHash"]),
    removed: false,
  };
}

function decode(
  data: Hex,
  topics: [Hash, ...Hash[]],
): { readonly channelId: Hash; readonly change: ChannelChange } {
  const { eventName, args } = decodeEventLog({ abi: LLOOM_CHANNELS_ABI, data, topics });
  switch (eventName) {
    case "ChannelOpened": {
      const { channelId, deposit, client, executor, asset, signer, closeDelay, salt } = args;
      const terms = {
        client: lower(client),
        executor: lower(executor),
        asset: lower(asset),
        signer: lower(signer),
        closeDelay,
        salt,
      };
      return { channelId, change: { type: "opened", terms, deposit } };
    }
    case "ToppedUp":
      return { channelId: args.channelId, change: { type: "topped_up", deposit: args.deposit } };
    case "Redeemed": {
      const { channelId, paid, settled } = args;
      return { channelId, change: { type: "redeemed", paid, settled } };
    }
    case "CloseRequested": {
      const { channelId, closesAt } = args;
      return { channelId, change: { type: "close_requested", closesAt } };
    }
    case "ChannelClosed": {
      const { channelId, settled, refunded } = args;
      return { channelId, change: { type: "closed", settled, refunded } };
    }
    default:
      throw new TypeError("read event: not a channel's");
  }
}

/** viem spells addresses with a checksum. */
function lower(address: Hex): Address {
  return address.toLowerCase() as Address;
}
