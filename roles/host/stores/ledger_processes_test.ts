/** Ledgers with processes that end violently, or are more than one. */
import { type BuyerStore, type Purchase, toAmount, toCost } from "@lloom/core/payments";
import assert from "node:assert/strict";
import { join } from "node:path";
import { startDeno } from "../../../tests/support/child_process.ts";
import { buyerChannel, channelId, purchase } from "../../../tests/support/ledger_fixtures.ts";
import { openBuyerStore } from "./ledger_stores.ts";

const PROGRAM = new URL("../../../tests/support/ledger_program.ts", import.meta.url).pathname;

/** Opens a client's ledger. */
async function withLedger(run: (store: BuyerStore, path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = join(folder, "payments.db");
  const { store, close } = await openBuyerStore({ path, sandbox: true });
  try {
    await run(store, path);
  } finally {
    await close();
    await Deno.remove(folder, { recursive: true });
  }
}

function startBuying(path: string, name: string, count: number) {
  return startDeno(["-A", "--unstable-worker-options", PROGRAM, path, name, String(count)]);
}

interface Said {
  readonly what: string;
  readonly id: string;
  readonly signed: bigint;
}

/** Whole lines; the last one may have been cut. */
function said(stdout: string): readonly Said[] {
  return stdout.split("\n").slice(0, -1).map((line) => {
    const [what = "", id = "", signed = ""] = line.split(" ");
    return { what, id, signed: BigInt(signed) };
  });
}

/** That an account's sums are those of its requests, and its promises within its deposit. */
async function assertSound(store: BuyerStore): Promise<readonly Purchase[]> {
  const all = await store.history({ limit: 100_000 });
  const [channel] = await store.channels();
  assert(channel !== undefined);
  const open = all.filter(({ state }) => state === "open");
  const done = all.filter(({ state }) => state === "done");
  const sum = (list: readonly Purchase[], field: "cost" | "paid" | "maxCost") =>
    list.reduce((total, one) => total + one[field], 0n);
  assert.equal(channel.spent, sum(done, "cost"));
  assert.equal(channel.inFlight, sum(open, "paid"));
  assert.equal(channel.reserved, sum(open, "maxCost"));
  assert(channel.spent + channel.reserved <= toCost(channel.deposit));
  assert(channel.signed >= toAmount(channel.spent + channel.inFlight));
  assert.equal(channel.requests, done.length);
  const leaves = done.map(({ leafIndex }) => leafIndex!).sort((a, b) => a - b);
  assert.deepEqual(leaves, leaves.map((_, i) => i));
  return all;
}

Deno.test("after kill -9 in mid-traffic nothing that was answered is missing, and nothing signed is forgotten", () =>
  withLedger(async (store, path) => {
    await store.addChannel(buyerChannel("a", 1_000_000n));
    const child = startBuying(path, "a", 100_000);
    await child.line("done a-3-12 ");
    child.kill("SIGKILL");
    const lines = said((await child.ended).stdout);
    assert(lines.length > 100);
    const found = new Map((await assertSound(store)).map((one) => [one.id, one]));
    const states = { reserved: ["open", "done"], paid: ["open", "done"], done: ["done"] };
    let most = 0n;
    for (const { what, id, signed } of lines) {
      if (what === "ready") continue;
      const one = found.get(id);
      assert(
        states[what as keyof typeof states].includes(one?.state ?? "missing"),
        `${what} ${id}`,
      );
      if (what === "paid") assert.equal(one?.paid, toCost(2n));
      if (signed > most) most = signed;
    }
    const [channel] = await store.channels();
    assert(channel!.signed >= most);
    const nowMs = Date.now() + 3_600_000;
    const wanted = purchase("after", 1n, { prepay: toCost(1n), nowMs, deadlineMs: nowMs + 1 });
    const { voucher } = await store.reserve(channelId("a"), wanted, {});
    assert(voucher!.cumulativeAmount >= most);
  }));

Deno.test("two processes that use one ledger at once do not promise more than there is", () =>
  withLedger(async (store, path) => {
    const children = ["a", "b"].map((name) => startBuying(path, name, 12));
    for (const child of children) await child.line("ready");
    // Too little for what one of them does at once.
    const deposit = 75n;
    await store.addChannel(buyerChannel("a", deposit));
    const results = Promise.all(children.map(({ ended }) => ended));
    let over = false;
    void results.then(() => over = true);
    while (!over) {
      const [channel] = await store.channels();
      assert(channel!.spent + channel!.reserved <= toCost(deposit));
    }
    let refused = 0;
    for (const { code, stdout, stderr } of await results) {
      assert.equal(code, 0, stderr);
      const lines = said(stdout);
      refused += lines.filter(({ what }) => what === "refused").length;
      assert.equal(lines.filter(({ what }) => what === "done").length, 96);
    }
    const all = await assertSound(store);
    assert.equal(all.length, 192);
    assert(all.every(({ state, request }) => state === "done" && request !== undefined));
    assert(refused > 0, "the deposit was never short");
    const turns = all.filter(({ id }, i) => id[0] !== all[i - 1]?.id[0]);
    assert(turns.length > 2, "they were not at it at once");
  }));
