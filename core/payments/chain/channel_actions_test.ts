import type { Address, Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import { ChannelActions } from "./channel_actions.ts";
import type { Intent, IntentStatus, Outbox } from "./ports.ts";

const ACCOUNT: Address = `0x${"aa".repeat(20)}`;
const CONTRACT: Address = `0x${"c0".repeat(20)}`;
const TOKEN: Address = `0x${"bb".repeat(20)}`;
const CHANNEL: Hash = `0x${"0a".repeat(32)}`;
const TERMS = {
  client: ACCOUNT,
  executor: CONTRACT,
  asset: TOKEN,
  signer: ACCOUNT,
  closeDelay: 3600,
  salt: 1n,
};

/** Tokens, of which the contract may pull what was approved; everything is executed at once, each key once. */
class TokenWorld {
  allowance = 0n;
  credit = 0n;
  readonly #states = new Map<string, IntentStatus>();
  /** What something else does before an intent of this kind is executed, once. */
  race: { readonly kind: string; readonly act: () => void } | undefined;
  readonly outbox: Outbox = {
    account: ACCOUNT,
    submit: (intent) => this.#submit(intent),
    confirmed: (key) =>
      this.#states.get(key) === "confirmed"
        ? Promise.resolve({ transactionHash: `0x${"00".repeat(32)}`, blockNumber: 1n })
        : Promise.reject(new LloomError("transaction_failed", key)),
    status: (key) => Promise.resolve(this.#states.get(key) ?? "unknown"),
    stop: () => Promise.resolve(),
  };
  readonly actions = new ChannelActions(CONTRACT, {
    chain: {
      balance: () => Promise.resolve(1000n),
      credit: () => Promise.resolve(this.credit),
      allowance: () => Promise.resolve(this.allowance),
    },
    outbox: this.outbox,
  });

  #submit({ key }: Intent): Promise<void> {
    if (this.#states.get(key) === "confirmed") return Promise.resolve();
    if (this.race !== undefined && key.startsWith(this.race.kind)) {
      this.race.act();
      this.race = undefined;
    }
    this.#states.set(key, this.#execute(key) ? "confirmed" : "failed");
    return Promise.resolve();
  }

  #execute(key: string): boolean {
    const [kind] = key.split(":");
    if (kind === "approve") {
      this.allowance = 100n;
      return true;
    }
    const from = kind === "topup" ? "credit" : "allowance";
    if (this[from] < 100n) return false;
    this[from] -= 100n;
    if (kind === "deposit") this.credit += 100n;
    return true;
  }

  /** Those that were executed. */
  get deposits(): string[] {
    return [...this.#states.keys()].filter((key) => key.startsWith("deposit:"));
  }

  async done(key: Promise<string>): Promise<void> {
    await this.outbox.confirmed(await key);
  }
}

Deno.test("a token's approval that something else used up is given again", async () => {
  const world = new TokenWorld();
  const open = () => world.done(world.actions.open(CHANNEL, TERMS, 100n));
  world.race = { kind: "open", act: () => world.allowance = 0n };
  await assert.rejects(open, { code: "transaction_failed" });
  await open();
});

Deno.test("a deposit for a top-up that something else used up is made again, and only then", async () => {
  const world = new TokenWorld();
  const topUp = () => world.done(world.actions.topUp(CHANNEL, TERMS, 100n, 100n));
  world.race = { kind: "topup", act: () => world.credit = 0n };
  await assert.rejects(topUp, { code: "transaction_failed" });
  const key = `deposit:topup:${CHANNEL}:100`;
  assert.deepEqual(world.deposits, [key]);
  await topUp();
  await topUp();
  assert.deepEqual(world.deposits, [key, `${key}:2`]);
});
