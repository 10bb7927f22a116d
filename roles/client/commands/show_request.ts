/** `show-request`: all about one request of the past; as JSON, its receipt file. @module */
import { Command } from "@commander-js/extra-typings";
import { ZERO_HASH } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import { formatAmount, type VerifiedReceipt, verifyReceiptFile } from "@lloom/core/payments";
import { isJsonObject, parseJsonText } from "@lloom/core/protocol";
import { noblePrimitives } from "@lloom/core/signing";
import { isoTime, print, printable, printableJson, printPairs } from "@lloom/host";
import { type WalletContext, withWallet } from "./context.ts";
import { costInWords, findRequest, receiptOf } from "./requests.ts";

/** `show-request <id>` */
export function showRequestCommand(): Command<[string]> {
  return new Command("show-request")
    .description("show one request; with --format json, as a file for `receipt verify`")
    .argument("<id>", "its id or its hash, or how one of them begins")
    .action((name, _options, command) => withWallet(command, (context) => show(context, name)));
}

async function show({ format, wallet }: WalletContext, name: string): Promise<void> {
  const purchase = await findRequest(await wallet.ledger(), name);
  const file = await receiptOf(purchase, wallet);
  if (format === "json") {
    if (file === undefined) {
      throw new LloomError("receipt_invalid", "show request: it ended without a receipt");
    }
    return print(`${printableJson(file)}\n`);
  }
  const receipt = file &&
    verifyReceiptFile(new TextEncoder().encode(JSON.stringify(file)), noblePrimitives);
  const { id, model, executor, channelId, state, startedMs, endedMs, request } = purchase;
  const { funds } = wallet;
  const price = (amount: bigint) => funds && formatAmount(amount, funds.asset);
  printPairs([
    ["request", id],
    ["hash", request?.requestHash],
    ["asked", isoTime({ ms: startedMs })],
    ["ended", endedMs === undefined ? "not yet" : isoTime({ ms: endedMs })],
    ["state", state],
    ["model", model],
    ["executor", toChecksumAddress(executor)],
    ["tokens", tokensOf(receipt)],
    [
      "price",
      request && channelId !== ZERO_HASH
        ? `${price(request.commitment.inboundPrice)} in, ${
          price(request.commitment.outboundPrice)
        } out, per 1,000,000 tokens`
        : undefined,
    ],
    ["cost", costInWords(purchase, funds)],
    ["channel", channelId === ZERO_HASH ? undefined : channelId],
    ["receipt", receipt === undefined ? "none" : "signed by the executor: checked"],
    ["but", receipt?.excess && `it has ${receipt.excess}`],
  ]);
  if (receipt === undefined) return;
  for (const { role, text } of saidIn(receipt.body)) print(`\n${role}:\n${printable(text)}\n`);
  const answer = receipt.answer ?? "(not kept)";
  print(`\nassistant:\n${printable(answer)}\n`);
}

function tokensOf(receipt: VerifiedReceipt | undefined): string | undefined {
  if (receipt === undefined) return undefined;
  const { inboundTokens, outboundTokens } = receipt.delivered;
  return `${inboundTokens} in, ${outboundTokens} out`;
}

interface Said {
  readonly role: string;
  readonly text: string;
}

/** The messages of a request body, which was found to be a chat request when it was sent. */
function saidIn(body: string | undefined): readonly Said[] {
  if (body === undefined) return [{ role: "asked", text: "(not kept)" }];
  const request = parseJsonText(body);
  if (!isJsonObject(request) || !Array.isArray(request.messages)) return [];
  const messages: readonly unknown[] = request.messages;
  return messages.filter(isJsonObject).map(({ role, content }) => ({
    role: printable(String(role)),
    text: typeof content === "string" ? content : JSON.stringify(content),
  }));
}
