/**
 * The official clients, unmodified, against a gateway over a network of processes: OpenAI's,
 * Anthropic's and Vercel's. They share one network, since to start one takes longer than all of them.
 */
import { missing } from "@lloom/host/foundry";
import { openGatewayPlace } from "../support/gateway.ts";
import { PROCESS_TEST } from "../support/network.ts";
import { aiSdkTests } from "./sdk/ai_sdk.ts";
import { anthropicTests } from "./sdk/anthropic.ts";
import { moneyTests } from "./sdk/money.ts";
import { openaiTests } from "./sdk/openai.ts";
import { responsesTests } from "./sdk/responses.ts";
import { troubledServerTests } from "./sdk/troubled_servers.ts";
import { askForUnknown, checkNotFound } from "./sdk/unknown_model.ts";

const CLIENTS = {
  openai: openaiTests,
  responses: responsesTests,
  anthropic: anthropicTests,
  ai: aiSdkTests,
  all: troubledServerTests,
};

Deno.test("the gateway serves official clients", PROCESS_TEST, async (t) => {
  await using place = await openGatewayPlace();
  const unknown = askForUnknown(place);
  for (const [client, tests] of Object.entries(CLIENTS)) {
    for (const [name, test] of Object.entries(tests)) {
      await t.step(`${client}: ${name}`, () => test(place));
    }
  }
  await t.step("all: a model that nobody has is not found", async () => {
    checkNotFound(await unknown);
  });
  // These stop the gateway, in the end.
  for (const [name, test] of Object.entries(moneyTests)) {
    const ignore = place.chain === undefined;
    const why = ignore ? `: ${missing("anvil")}` : "";
    await t.step({ name: `paid: ${name}${why}`, ignore, fn: () => test(place) });
  }
});
