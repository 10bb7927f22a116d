/** `receipt verify`: checks a receipt from anywhere. Needs no key, no chain, and no network. @module */
import { Command } from "@commander-js/extra-typings";
import { toChecksumAddress } from "@lloom/core/identity";
import {
  formatAmount,
  formatCost,
  MAX_RECEIPT_FILE_BYTES,
  type VerifiedReceipt,
  verifyReceiptFile,
} from "@lloom/core/payments";
import { noblePrimitives } from "@lloom/core/signing";
import { isoTime, nativeAsset, openCommand, readInput } from "@lloom/host";
import { CLIENT_SETTINGS, type ClientConfig } from "@lloom/host/config";
import { printResult } from "./context.ts";

/** `receipt …` */
export function receiptCommand(): Command {
  const receipt = new Command("receipt").description("check what executors signed");
  receipt.command("verify")
    .description("check a receipt that `show-request` or `--prompt` printed with --format json")
    .argument("<file>", "the file; - for standard input")
    .action(async (path, _options, command) => {
      const { config, format } = openCommand(CLIENT_SETTINGS, command);
      const bytes = await readInput(path, MAX_RECEIPT_FILE_BYTES);
      const receipt = verifyReceiptFile(bytes, noblePrimitives);
      printResult(format, { ...receipt }, pairsOf(receipt, config));
    });
  return receipt;
}

function pairsOf(
  receipt: VerifiedReceipt,
  config: ClientConfig,
): readonly (readonly [string, string | undefined])[] {
  const { asked, client, delivered, requestHash, excess, proofs, unproven } = receipt;
  return [
    ["receipt", "holds: every signature and every hash in it was checked"],
    ["request", requestHash],
    ["dated", isoTime({ s: Number(delivered.timestamp) })],
    ["model", asked.model],
    ["client", toChecksumAddress(client)],
    ["executor", toChecksumAddress(asked.executor)],
    ["tokens", `${delivered.inboundTokens} in, ${delivered.outboundTokens} out`],
    ...paymentOf(receipt, config),
    ["excess", excess && `the executor claims more than it may: ${excess}`],
    ...proofs.map(({ role, said }) => ["proven", `the ${role} says: ${said}`] as const),
    ...unproven.map((what) => ["not proven", what] as const),
  ];
}

/** What was paid, in the coin's units; in a token's own, as only the chain knows its decimals. */
function paymentOf(
  { asked, domain, payment }: VerifiedReceipt,
  { blockchain: { coin } }: ClientConfig,
): readonly (readonly [string, string | undefined])[] {
  if (payment === undefined) return [["cost", "free"]];
  const { asset: address, cost, voucher } = payment;
  const asset = nativeAsset({ asset: address, coin }) ??
    { address, symbol: `base units of ${toChecksumAddress(address)}`, decimals: 0 };
  const [inbound, outbound] = [asked.inboundPrice, asked.outboundPrice].map((price) =>
    formatAmount(price, asset)
  );
  return [
    ["price", `${inbound} in, ${outbound} out, per 1,000,000 tokens`],
    ["cost", formatCost(cost, asset)],
    ["chain", `${domain.chainId}, contract ${toChecksumAddress(domain.verifyingContract)}`],
    ["channel", asked.channelId],
    [
      "voucher",
      voucher &&
      `for ${
        formatAmount(voucher.cumulativeAmount, asset)
      } in all, over ${voucher.requests} receipts`,
    ],
  ];
}
