/** `history`: what was asked, and what it cost. @module */
import { Command, Option } from "@commander-js/extra-typings";
import { toChecksumAddress } from "@lloom/core/identity";
import type { Purchase } from "@lloom/core/payments";
import { isoTime, print, printableJson, printTable } from "@lloom/host";
import type { Funds } from "../wallet.ts";
import { parseLimit } from "./arguments.ts";
import { type WalletContext, withWallet } from "./context.ts";
import { costInWords, findRequest } from "./requests.ts";

/** Enough of a request's id to find it again. */
const SHORT_ID = 10;
const SHOWN = 20;

/** `history` */
export function historyCommand(): Command<[], { limit: number; before?: string }> {
  return new Command("history")
    .description("list what was asked, the newest first")
    .addOption(
      new Option("--limit <number>", "how many requests").argParser(parseLimit).default(SHOWN),
    )
    .option("--before <id>", "only what was asked before this request")
    .action((options, command) => withWallet(command, (context) => list(context, options)));
}

async function list(
  context: WalletContext,
  { limit, before }: { readonly limit: number; readonly before?: string | undefined },
): Promise<void> {
  const { format, wallet } = context;
  const store = await wallet.ledger();
  const last = before === undefined ? undefined : await findRequest(store, before);
  const page = { limit, ...(last && { before: last.id }) };
  const requests = (await store.history(page)).map((one) => rowOf(one, wallet.funds));
  if (format === "json") return print(`${printableJson({ requests })}\n`);
  printTable(
    ["REQUEST", "ASKED", "MODEL", "EXECUTOR", "IN", "OUT", "COST", "STATE"],
    requests.map((one) => [
      one.id.slice(0, SHORT_ID),
      one.startedAt,
      one.model,
      one.executor,
      `${one.inboundTokens ?? "-"}`,
      `${one.outboundTokens ?? "-"}`,
      one.cost,
      one.state,
    ]),
  );
}

function rowOf(purchase: Purchase, funds: Funds | undefined) {
  const { id, model, executor, state, startedMs, endedMs, request, response } = purchase;
  return {
    id,
    ...(request && { requestHash: request.requestHash }),
    startedAt: isoTime({ ms: startedMs }),
    ...(endedMs !== undefined && { endedAt: isoTime({ ms: endedMs }) }),
    model,
    executor: toChecksumAddress(executor),
    state,
    ...(response && {
      inboundTokens: response.commitment.inboundTokens,
      outboundTokens: response.commitment.outboundTokens,
    }),
    cost: costInWords(purchase, funds),
  };
}
