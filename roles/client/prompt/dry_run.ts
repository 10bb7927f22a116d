/** `--dry-run`: whom a request would go to, what would be signed, and what it can cost. @module */
import { type Address, toHex, ZERO_HASH } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import {
  type BuyerChannel,
  formatAmount,
  formatCost,
  hasRoom,
  isFree,
  toAmount,
  usableChannels,
} from "@lloom/core/payments";
import { parseModelRequest, systemPrompt } from "@lloom/core/protocol";
import {
  hashSystemPrompt,
  type LlmRequestCommitment,
  noblePrimitives,
  SALT_BYTES,
  TEMPERATURE_UNSET,
} from "@lloom/core/signing";
import { type OutputFormat, print, printableJson, printPairs } from "@lloom/host";
import type { Plan } from "../asking/plan.ts";
import type { CompleteOptions, LloomClient } from "../client.ts";
import { pricesInWords } from "../spending.ts";
import type { Funds, Wallet } from "../wallet.ts";

/** What would happen. */
interface DryRun {
  readonly executor: { readonly peerId: string; readonly address: string };
  /** As it would be signed; salt and nonce are drawn anew for each request, its channel when it is sent. */
  readonly commitment: LlmRequestCommitment;
  /** Absent if it is free. */
  readonly money?:
    & Readonly<Record<"inboundPrice" | "outboundPrice" | "prepaid" | "atMost", string>>
    & {
      readonly channel: string;
    };
}

/**
 * Prints what asking would do. Nothing is signed, and nothing is sent to an executor.
 * @throws {LloomError} as asking would, before anything is sent
 */
export async function printDryRun(
  client: LloomClient,
  body: Uint8Array,
  options: CompleteOptions,
  wallet: Wallet,
  format: OutputFormat,
  onFound: () => void,
): Promise<void> {
  const [plan] = await client.plan(body, options);
  if (plan === undefined) throw new LloomError("no_executor", "select executor: none");
  const channels = wallet.funds === undefined ? [] : await (await wallet.ledger()).channels();
  const run = dryRun(plan, body, wallet.funds, channels, wallet.identity.address);
  onFound();
  if (format === "json") return print(`${printableJson(run)}\n`);
  const { executor, commitment, money } = run;
  printPairs([
    ["would ask", executor.peerId],
    ["", executor.address],
    ["model", commitment.model],
    [
      "price",
      money === undefined
        ? "free"
        : `${money.inboundPrice} in, ${money.outboundPrice} out, per 1,000,000 tokens`,
    ],
    ["prepaid", money?.prepaid],
    ["at most", money && `${money.atMost} for an answer of up to ${commitment.maxTokens} tokens`],
    ["channel", money?.channel],
    ["would sign", printableJson(commitment)],
    [
      "",
      commitment.temperature === TEMPERATURE_UNSET
        ? `temperature ${TEMPERATURE_UNSET} means: unset`
        : undefined,
    ],
  ]);
}

function dryRun(
  { candidate, draft, estimate }: Plan,
  body: Uint8Array,
  funds: Funds | undefined,
  channels: readonly BuyerChannel[],
  signer: Address,
): DryRun {
  const { peerId, executor, payment } = candidate.announcement;
  const { keccak256 } = noblePrimitives;
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const costs = !isFree(draft);
  const [best] = payment === undefined || !costs
    ? []
    : usableChannels(channels, { ...payment, executor, signer });
  const channel = best && hasRoom(best, estimate.maxCost) ? best : undefined;
  const commitment = {
    ...draft,
    channelId: channel?.channelId ?? ZERO_HASH,
    promptHash: toHex(keccak256(salt, body)),
    systemPromptHash: hashSystemPrompt(keccak256, salt, systemPrompt(parseModelRequest(body))),
  };
  return {
    executor: { peerId, address: toChecksumAddress(executor) },
    commitment,
    ...(costs && funds && { money: moneyOf(draft, estimate, funds, channel) }),
  };
}

function moneyOf(
  draft: Plan["draft"],
  { prepay, maxCost }: Plan["estimate"],
  { asset, channelDeposit }: Funds,
  channel: BuyerChannel | undefined,
): NonNullable<DryRun["money"]> {
  const needed = toAmount(maxCost);
  const deposit = needed > channelDeposit ? needed : channelDeposit;
  return {
    ...pricesInWords(draft, asset),
    prepaid: formatCost(prepay, asset),
    atMost: formatCost(maxCost, asset),
    channel: channel?.channelId ??
      `none with room; it would be opened or topped up with ${formatAmount(deposit, asset)}`,
  };
}
