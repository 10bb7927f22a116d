/** Clients that cheat: a payer whose payments are not what they should be. @module */
import type { BuyerPayment, OpenPayment, Payer, VoucherMessage } from "@lloom/core/payments";
import type { Signer } from "@lloom/core/ports";
import type { Voucher } from "@lloom/core/signing";
import type { Random } from "./random.ts";

/** How a client cheats. */
export type ClientLie =
  | "stops paying"
  | "pays too little"
  | "replays vouchers"
  | "pays from elsewhere"
  | "owes the rest"
  | "skips receipts"
  | "opens nothing"
  | "thinks it has more";

/** All of them. */
export const CLIENT_LIES: readonly ClientLie[] = [
  "stops paying",
  "pays too little",
  "replays vouchers",
  "pays from elsewhere",
  "owes the rest",
  "skips receipts",
  "opens nothing",
  "thinks it has more",
];

/** A payer that cheats now and then. */
export function createLyingPayer(
  payer: Payer,
  signer: Signer,
  lie: ClientLie,
  random: Random,
): Payer {
  let kept: VoucherMessage | undefined;
  const changed = (voucher: Voucher): Voucher => {
    switch (lie) {
      case "pays too little":
        return { ...voucher, cumulativeAmount: voucher.cumulativeAmount / 2n };
      case "pays from elsewhere":
        return { ...voucher, channelId: `0x${"ab".repeat(32)}` };
      default:
        return voucher;
    }
  };
  const cheat = async (message: VoucherMessage): Promise<VoucherMessage> => {
    kept ??= message;
    if (random.chance(0.3)) return message;
    if (lie === "replays vouchers") return { ...kept, paid: message.paid };
    if (lie === "skips receipts") return { ...message, receipts: message.receipts.slice(1) };
    return { ...message, signed: await signer.signVoucher(changed(message.signed.voucher)) };
  };
  const never = <T>(): Promise<T> => new Promise(() => {});
  return {
    async begin(request, signal): Promise<OpenPayment> {
      const honest = await payer.begin(request, signal);
      const { opening } = honest;
      const cheap: Pick<BuyerPayment, "voucher"> = opening.voucher !== undefined &&
          lie === "pays too little" && random.chance(0.3)
        ? { voucher: changed(opening.voucher) }
        : {};
      return {
        channelId: honest.channelId,
        opening: { ...opening, ...cheap },
        sent: (...args) => honest.sent(...args),
        accepted: (count) => honest.accepted(count),
        async pay(total) {
          if (lie === "stops paying" && random.chance(0.6)) return await never();
          return await cheat(await honest.pay(total));
        },
        async settle(receipt) {
          const message = await honest.settle(receipt);
          if (message === undefined || lie === "owes the rest") return undefined;
          return await cheat(message);
        },
        dispute: (receipt) => honest.dispute(receipt),
        abandon: (owed) => honest.abandon(owed),
        disown: () => honest.disown(),
      };
    },
  };
}
