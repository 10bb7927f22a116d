import assert from "node:assert/strict";
import { toEthereumSignature } from "@lloom/core/signing";
import { decodeEventLog, toFunctionSelector } from "viem";
import { findTool, missing } from "../../scripts/contracts/toolchain.ts";
import { PaymentChain } from "../support/payment_chain.ts";
import { LLOOM_CHANNELS_ABI, LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";

const ready = await findTool("anvil") !== undefined;

Deno.test({
  name: `a channel is paid, topped up, redeemed and closed with signatures of our own${
    ready ? "" : `: ${missing("anvil")}`
  }`,
  ignore: !ready,
  fn: async () => {
    await using chain = await PaymentChain.start();
    assert.ok(chain !== undefined);
    const { payer, executor } = chain;
    const terms = chain.terms(1n);
    const channelId = chain.channelId(terms);
    const { logs: [opened] } = await chain.send(payer, "open", [terms, 1000n], 1000n);
    const event = decodeEventLog({ abi: LLOOM_CHANNELS_ABI, ...opened! });
    assert.ok(event.eventName === "ChannelOpened");
    const { channelId: announced, deposit, salt } = event.args;
    assert.deepEqual([announced, deposit, salt], [channelId, 1000n, 1n]);

    await chain.send(payer, "topUp", [terms, 500n], 500n);
    await chain.send(executor, "redeem", [chain.redemption(terms, 700n, 3n)]);
    assert.equal(await chain.credit(executor), 700n);
    const notRedeemable = toFunctionSelector("NotRedeemable(uint8)");
    await assert.rejects(
      chain.send(executor, "redeem", [chain.redemption(terms, 700n, 3n)]),
      new RegExp(`custom error ${notRedeemable}`),
    );

    const { timestamp } = await chain.rpc.getBlock();
    const deadline = timestamp + 60n;
    const consent = { channelId, finalAmount: 800n, deadline };
    const signature = toEthereumSignature(chain.sign(executor, "CloseConsent", consent));
    await chain.send(payer, "closeWithConsent", [terms, 800n, deadline, signature]);
    assert.equal(await chain.credit(executor), 800n);
    assert.equal(await chain.credit(payer), 700n);

    const next = chain.terms(2n);
    const open = { channelId: chain.channelId(next), amount: 600n, deadline };
    const permission = toEthereumSignature(chain.sign(payer, "ChannelOpen", open));
    await chain.send(executor, "openBySig", [next, 600n, deadline, permission]);
    await chain.send(executor, "redeemAndClose", [chain.redemption(next, 10n, 1n)]);
    await chain.send(executor, "withdraw", [terms.asset, executor.address, 810n]);
    await chain.send(payer, "withdraw", [terms.asset, payer.address, 690n]);
    assert.equal(await chain.rpc.getBalance({ address: LLOOM_CHANNELS_ADDRESS }), 0n);
  },
});
