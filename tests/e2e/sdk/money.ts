/** Official clients where answers have a price. @module */
import Anthropic from "@anthropic-ai/sdk";
import type { Address } from "@lloom/core/bytes";
import { costOf, formatUnits, type Purchase, type Sale, toAmount } from "@lloom/core/payments";
import { ledgerPath, paymentChain } from "@lloom/host";
import { openBuyerStore, openSellerStore } from "@lloom/host/stores";
import { APICallError, generateText, streamText } from "ai";
import assert from "node:assert/strict";
import OpenAI from "openai";
import {
  behaving,
  type GatewayPlace,
  type GatewayTests,
  hangingUp,
  PAID_MODEL,
  PRICES,
  STEP_TOKENS,
} from "../../support/gateway.ts";
import { startDeno } from "../../support/child_process.ts";
import { kill, roleArguments } from "../../support/network.ts";
import { blockchainOf } from "../../faults/client_program.ts";
import { aiProviders } from "./ai_sdk.ts";
import { anthropicClient, ASKING_ANTHROPIC } from "./anthropic.ts";
import { openaiClient } from "./openai.ts";

const ASKING = {
  model: PAID_MODEL,
  messages: [{ role: "user" as const, content: "Hello!" }],
  max_tokens: 100,
};
/** More than the gateway's limit allows. */
const DEAR_TOKENS = 10_000;
/** Answers that the tests before the last let come to their end. */
const ANSWERED = 7;
/** How much of an answer its reader waits for. */
const READ_TOKENS = 3 * STEP_TOKENS;

const cost = (promptTokens: number, completionTokens: number): bigint =>
  costOf(
    { inboundPrice: PRICES.inbound, outboundPrice: PRICES.outbound },
    promptTokens,
    completionTokens,
  );
const inWholeUnits = (tokens: { prompt_tokens: number; completion_tokens: number }): string =>
  formatUnits(cost(tokens.prompt_tokens, tokens.completion_tokens), 24);

/** What Lloom adds, which no official type knows. */
const lloomOf = (answer: unknown): { cost?: string; asset?: string } | undefined =>
  (answer as { lloom?: { cost?: string; asset?: string } }).lloom;

/** See the module. */
export const moneyTests: GatewayTests = {
  async "what an answer cost is said in it, by every API"(place) {
    const openai = openaiClient(place);
    const whole = await openai.chat.completions.create(ASKING);
    const expected = { cost: inWholeUnits(whole.usage!), asset: "ETH" };
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    let last: unknown;
    for await (const chunk of await openai.chat.completions.create({ ...ASKING, ...options })) {
      last = chunk;
    }
    const response = await openai.responses.create({
      model: PAID_MODEL,
      input: "Hello!",
      max_output_tokens: 100,
    });
    const message = await anthropicClient(place).messages.create({
      ...ASKING_ANTHROPIC,
      model: PAID_MODEL,
    });
    for (const answer of [whole, last, response, message]) {
      const { cost, asset } = lloomOf(answer)!;
      assert.deepEqual({ cost, asset }, expected);
    }
  },

  async "what may cost more than allowed is refused with 402, and asked of nobody"(place) {
    const asked = place.shared.plain.requests.length;
    const openai = openaiClient(place);
    const refused = (error: unknown) =>
      error instanceof OpenAI.APIError && error.status === 402 &&
      error.code === "insufficient_quota" && error.type === "insufficient_quota";
    await assert.rejects(
      openai.chat.completions.create({ ...ASKING, max_tokens: DEAR_TOKENS }),
      refused,
    );
    await assert.rejects(
      openai.chat.completions.create({ ...ASKING, stream: true, max_tokens: DEAR_TOKENS }),
      refused,
    );
    await assert.rejects(
      openai.chat.completions.create(ASKING, { headers: { "X-Lloom-Max-Price": "0.0000001" } }),
      refused,
    );
    await assert.rejects(
      openai.responses.create({
        model: PAID_MODEL,
        input: "Hello!",
        max_output_tokens: DEAR_TOKENS,
      }),
      refused,
    );
    await assert.rejects(
      anthropicClient(place).messages.create({
        ...ASKING_ANTHROPIC,
        model: PAID_MODEL,
        max_tokens: DEAR_TOKENS,
      }),
      (error) =>
        error instanceof Anthropic.APIError && error.status === 402 &&
        error.type === "billing_error",
    );
    await assert.rejects(
      generateText({
        model: aiProviders(place).chat(PAID_MODEL),
        prompt: "Hello!",
        maxOutputTokens: DEAR_TOKENS,
        maxRetries: 2,
      }),
      (error) => APICallError.isInstance(error) && error.statusCode === 402,
    );
    assert.equal(place.shared.plain.requests.length, asked);
  },

  async "requests under way count in full against the hour's budget: the third is refused"(place) {
    const { shared: { plain } } = place;
    const openai = openaiClient(place);
    const gate = Promise.withResolvers<void>();
    // Each may cost more than a third of the budget, with the template that its prompt may be put into.
    await behaving(plain, { gate: gate.promise }, async () => {
      const answers = [];
      for (let i = 0; i < 2; i++) {
        const asked = plain.nextRequest();
        const answer = openai.chat.completions.create(ASKING);
        answers.push(answer);
        await Promise.race([asked, answer]);
      }
      await assert.rejects(
        openai.chat.completions.create(ASKING),
        (error) =>
          error instanceof OpenAI.APIError && error.status === 402 && /budget/.test(error.message),
      );
      gate.resolve();
      await Promise.all(answers);
    });
    await openai.chat.completions.create(ASKING);
  },

  async "what was delivered to clients that hung up is paid, and both sides and the chain agree"(
    place,
  ) {
    const cancelled = await hangUpOnAll(place);
    const { gateway, plain, network } = place;
    for (const child of [gateway, plain.child]) {
      kill(child, "SIGTERM");
      assert.equal((await child.ended).code, 0);
    }
    // Stopped, it has only promised itself to redeem.
    const { code, stderr } = await network.track(startDeno([
      ...roleArguments("executor", plain.dataDir),
      ...["--data-dir", plain.dataDir, "settle"],
    ])).ended;
    assert.equal(code, 0, stderr);
    const { purchases, sales, spent, voucher, inFlight } = await accounts(
      paymentChain(blockchainOf(place.chain!.rpcUrl, 1)),
      await network.directory("client"),
      plain.dataDir,
    );
    assert.equal(purchases.length, ANSWERED + cancelled.length);
    assert.deepEqual(
      purchases.map(({ request, cost }) => [request?.requestHash, cost]),
      sales.map(({ requestHash, cost }) => [requestHash, cost]),
    );
    assert.ok(purchases.every(({ state }) => state === "done"));
    assert.equal(purchases.reduce((sum, { cost }) => sum + cost, 0n), spent);
    assert.equal(inFlight, 0n);
    cancelled.forEach((sent, i) => {
      // The newest is the first.
      const sale = sales[cancelled.length - 1 - i]!;
      const { inboundTokens, outboundTokens } = sale.response!.commitment;
      assert.equal(sale.cost, cost(inboundTokens, outboundTokens));
      assert.ok(outboundTokens >= READ_TOKENS && outboundTokens <= sent, `${outboundTokens}`);
    });
    const earned = await place.chain!.credit({ address: plain.ready.address as Address });
    assert.equal(earned, voucher, "the chain paid what the executor holds a voucher for");
    assert.ok(voucher >= toAmount(spent), "which covers all that was spent");
  },
};

/** Hangs up in the middle of an answer, by each client. @returns how many tokens the server had written */
async function hangUpOnAll(place: GatewayPlace): Promise<readonly number[]> {
  const { shared: { plain } } = place;
  const sent: number[] = [];
  const hangUp = async (client: string, begin: () => Promise<() => void>): Promise<void> => {
    const request = await hangingUp(plain, `${client}, paid`, begin);
    sent.push(request.sent);
  };
  await hangUp("openai", async () => {
    const stream = await openaiClient(place).chat.completions.create({
      ...{ ...ASKING, stream: true as const },
    });
    let read = 0;
    for await (const { choices } of stream) {
      if (choices[0]?.delta.content && ++read > READ_TOKENS) break;
    }
    return () => stream.controller.abort();
  });
  await hangUp("anthropic", async () => {
    const body = { ...ASKING_ANTHROPIC, model: PAID_MODEL, stream: true as const };
    const stream = await anthropicClient(place).messages.create(body);
    let read = 0;
    for await (const { type } of stream) {
      if (type === "content_block_delta" && ++read > READ_TOKENS) break;
    }
    return () => stream.controller.abort();
  });
  await hangUp("ai", async () => {
    const controller = new AbortController();
    const { textStream } = streamText({
      model: aiProviders(place).responses(PAID_MODEL),
      prompt: "Hello!",
      maxOutputTokens: 100,
      abortSignal: controller.signal,
    });
    let read = 0;
    for await (const text of textStream) if (text !== "" && ++read > READ_TOKENS) break;
    return () => controller.abort();
  });
  return sent;
}

/** What both sides have in their books, once their processes have ended. */
async function accounts(
  chain: ReturnType<typeof paymentChain>,
  clientDir: string,
  executorDir: string,
): Promise<{
  readonly purchases: readonly Purchase[];
  readonly sales: readonly Sale[];
  readonly spent: bigint;
  readonly inFlight: bigint;
  readonly voucher: bigint;
}> {
  const ledger = (dataDir: string) => ({ path: ledgerPath(dataDir, chain), sandbox: false });
  const buyer = await openBuyerStore(ledger(clientDir));
  const seller = await openSellerStore(ledger(executorDir));
  try {
    const history = await buyer.store.history({ limit: 1000 });
    const [bought] = await buyer.store.channels();
    const [sold] = await seller.store.channels();
    return {
      // Free requests have no channel.
      purchases: history.filter(({ channelId }) => channelId === bought?.channelId),
      sales: await seller.store.sales({ limit: 100 }),
      spent: bought!.spent,
      inFlight: bought!.inFlight,
      voucher: sold!.voucher!.voucher.cumulativeAmount,
    };
  } finally {
    await Promise.all([buyer.close(), seller.close()]);
  }
}
