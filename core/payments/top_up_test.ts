import assert from "node:assert/strict";
import { encodeFunctionData, erc20Abi } from "viem";
import { type Address, ZERO_ADDRESS } from "../bytes.ts";
import { planTopUp, transferCall } from "./top_up.ts";

const FROM: Address = `0x${"f0".repeat(20)}`;
const TO: Address = `0x${"70".repeat(20)}`;
const TOKEN: Address = `0x${"e2".repeat(20)}`;

/** Balances by asset and account; a call costs 10. */
function reader(balances: Readonly<Record<string, bigint>>) {
  return {
    balance: (asset: Address, account: Address) =>
      Promise.resolve(balances[`${asset === TOKEN ? "token" : "coin"} ${account}`] ?? 0n),
    gasCost: () => Promise.resolve(10n),
  };
}

const options = { asset: ZERO_ADDRESS, from: FROM, to: TO, target: 100n, promised: 0n };

Deno.test("an account gets what it lacks, less what is on its way", async () => {
  const chain = reader({ [`coin ${FROM}`]: 1000n, [`coin ${TO}`]: 30n });
  const plan = await planTopUp(chain, { ...options, promised: 20n });
  assert.deepEqual(plan, { amount: 50n, call: { to: TO, data: "0x", value: 50n } });
});

Deno.test("an account at its target, or above, or promised enough, gets nothing", async () => {
  for (const [has, promised] of [[100n, 0n], [500n, 0n], [0n, 100n], [60n, 60n]] as const) {
    const chain = reader({ [`coin ${FROM}`]: 1000n, [`coin ${TO}`]: has });
    assert.equal(await planTopUp(chain, { ...options, promised }), undefined);
  }
});

Deno.test("a payer that cannot pay amount and gas plans nothing", async () => {
  const poor = { code: "insufficient_funds" };
  await assert.rejects(planTopUp(reader({ [`coin ${FROM}`]: 109n }), options), poor);
  await assert.rejects(planTopUp(reader({}), options), poor);
  const exact = await planTopUp(reader({ [`coin ${FROM}`]: 110n }), options);
  assert.equal(exact?.amount, 100n);
  const token = { ...options, asset: TOKEN };
  await assert.rejects(planTopUp(reader({ [`coin ${FROM}`]: 110n }), token), poor);
  await assert.rejects(planTopUp(reader({ [`token ${FROM}`]: 110n }), token), poor);
  const paid = await planTopUp(reader({ [`token ${FROM}`]: 100n, [`coin ${FROM}`]: 10n }), token);
  assert.equal(paid?.amount, 100n);
});

Deno.test("a token is handed over as ERC-20 says", () => {
  const data = encodeFunctionData({ abi: erc20Abi, functionName: "transfer", args: [TO, 12345n] });
  assert.deepEqual(transferCall(TOKEN, TO, 12345n), { to: TOKEN, data, value: 0n });
});
