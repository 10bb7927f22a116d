/**
 * A process that buys from the ledger at a path: `<path> <name> <purchases in each of 8 lanes>`. It
 * prints what was acknowledged to it, and only then.
 */
import { LloomError } from "@lloom/core/errors";
import { type BuyerPayment, toCost } from "@lloom/core/payments";
import { openBuyerStore } from "@lloom/host/stores";
import { channelId, purchase, receipt, sentRequest } from "./ledger_fixtures.ts";

const LANES = 8;
const ID = channelId("a");
const [path = "", name = "", count = "0"] = Deno.args;

function say(what: string, id: string, payment: BuyerPayment | undefined): void {
  const line = `${what} ${id} ${payment?.voucher?.cumulativeAmount ?? 0n}\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(line));
}

const { store, close } = await openBuyerStore({ path, sandbox: true });

/** Sets aside for a purchase, as soon as others leave room for it. */
async function reserve(id: string, nowMs: number): Promise<BuyerPayment> {
  const wanted = purchase(id, 10n, { prepay: toCost(1n), nowMs, deadlineMs: nowMs + 600_000 });
  for (;;) {
    try {
      return await store.reserve(ID, wanted, {});
    } catch (error) {
      if (!(error instanceof LloomError && error.code === "insufficient_funds")) throw error;
      say("refused", id, undefined);
    }
  }
}

async function buy(id: string): Promise<void> {
  const nowMs = Date.now();
  say("reserved", id, await reserve(id, nowMs));
  void store.sent(id, sentRequest(id, ID));
  say("paid", id, await store.pay(id, toCost(2n)));
  say("done", id, await store.settle(id, receipt(id, 100_000n), nowMs));
}

say("ready", name, undefined);
// The test opens the channel once all its processes are here.
while ((await store.channels()).length === 0);
await Promise.all(Array.from({ length: LANES }, async (_, lane) => {
  for (let i = 0; i < Number(count); i++) await buy(`${name}-${lane}-${i}`);
}));
await close();
