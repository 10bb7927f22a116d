/** `settle`: redeems everything now, while the executor does not run. @module */
import { Command } from "@commander-js/extra-typings";
import { LloomError } from "@lloom/core/errors";
import { formatAmount } from "@lloom/core/payments";
import {
  loadIdentity,
  openCommand,
  type ParsedCommand,
  print,
  printableJson,
  printError,
  printPairs,
  requirePaymentChain,
  runInterruptibly,
  systemClock,
} from "@lloom/host";
import { EXECUTOR_SETTINGS } from "@lloom/host/config";
import type { Till, TillOptions } from "../till.ts";

/** `settle` */
export function settleCommand(): Command<[], { withdraw?: true }> {
  return new Command("settle")
    .description("redeem what clients have paid; an executor at work does so by itself")
    .option("--withdraw", "then pay out what this executor has in the payment contract")
    .action(({ withdraw }, command) => settle(command, withdraw === true));
}

async function settle(command: ParsedCommand, withdraw: boolean): Promise<void> {
  const { config, format, sandboxWorkers } = openCommand(EXECUTOR_SETTINGS, command);
  requirePaymentChain(config.blockchain);
  const till = await openTill({ identity: loadIdentity(config), config, sandboxWorkers });
  const say = (text: string) => format === "text" && printError(`${text}\n`);
  try {
    await runInterruptibly(async (signal) => {
      // Nobody serves now: what is found under way will never be paid.
      await till.store.recover(systemClock.now());
      say("redeeming what clients have paid; this waits for the chain");
      const { channels, amount } = await till.settler.settle(signal);
      const credit = await till.credit();
      if (withdraw && credit > 0n) say(`withdrawing ${formatAmount(credit, till.asset)}`);
      const withdrawal = withdraw ? await till.withdraw(signal) : undefined;
      const left = withdrawal === undefined ? credit : await till.credit();
      const result = {
        channels,
        redeemed: formatAmount(amount, till.asset),
        ...(withdrawal && { withdrawn: formatAmount(withdrawal.amount, till.asset) }),
        ...(withdrawal && { transaction: withdrawal.transactionHash }),
        credit: formatAmount(left, till.asset),
      };
      if (format === "json") return print(`${printableJson(result)}\n`);
      printPairs([
        ["redeemed", `${result.redeemed}, from ${channels} channels`],
        ["withdrawn", result.withdrawn],
        ["transaction", result.transaction],
        ["in the contract", `${result.credit}${left > 0n ? "; --withdraw pays it out" : ""}`],
      ]);
    });
  } finally {
    await till.close(0);
  }
}

/** @throws {LloomError} `in_use`, saying what to do, while the executor runs */
async function openTill(options: TillOptions): Promise<Till> {
  const { Till } = await import("../till.ts");
  try {
    const till = await Till.open(options);
    if (till !== undefined) return till;
  } catch (error) {
    if (!(error instanceof LloomError) || error.code !== "in_use") throw error;
    throw new LloomError(
      error.code,
      "settle: the executor runs; it redeems by itself, at the latest when it is stopped " +
        "(payments.redeem_threshold, payments.redeem_max_age)",
      { cause: error },
    );
  }
  throw new LloomError("config_invalid", "settle: no chain is configured");
}
