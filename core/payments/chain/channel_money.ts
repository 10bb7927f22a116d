/** How money gets into channels, and out of them: what payer and settler need of an outbox. @module */
import type { Hash } from "../../bytes.ts";
import type { ChannelOpener } from "../payer.ts";
import type { Redeemer } from "../settler.ts";
import type { ChannelActions } from "./channel_actions.ts";
import type { ChainReader, Outbox } from "./ports.ts";

/** What opening channels needs. */
export interface ChannelOpenerComponents {
  /** Opens and tops up. */
  readonly actions: Pick<ChannelActions, "open" | "topUp">;
  /** Says when that is final. */
  readonly outbox: Pick<Outbox, "confirmed">;
  /** Says what came of it. */
  readonly chain: Pick<ChainReader, "channel">;
}

/** Opens channels through an outbox, so that what was begun before a crash is gone on with. */
export function createChannelOpener(
  { actions, outbox, chain }: ChannelOpenerComponents,
): ChannelOpener {
  const view = (channelId: Hash) => chain.channel(channelId);
  return {
    view,
    async open({ channelId, terms }, amount) {
      await outbox.confirmed(await actions.open(channelId, terms, amount));
      return await view(channelId);
    },
    async topUp({ channelId, terms, deposit }, amount) {
      await outbox.confirmed(await actions.topUp(channelId, terms, deposit, amount));
      return await view(channelId);
    },
  };
}

/** Redeems through an outbox. */
export function createRedeemer(
  { actions, outbox }: {
    /** Redeems. */
    readonly actions: Pick<ChannelActions, "redeem" | "redeemAndClose">;
    /** Says when that is final. */
    readonly outbox: Pick<Outbox, "confirmed">;
  },
): Redeemer {
  return {
    redeem: (items) => actions.redeem(items),
    redeemAndClose: (item) => actions.redeemAndClose(item),
    confirmed: (key, signal) => outbox.confirmed(key, signal),
  };
}
