/** A live executor whose model server fails in every way: a code for the client, and it serves on. */
import assert from "node:assert/strict";
import { type LloomClient, textOf } from "@lloom/client";
import type { ErrorCode } from "@lloom/core/errors";
import { ask, chat } from "../support/asking.ts";
import { type MockFailure, type MockLlmServer, mockText } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST } from "../support/network.ts";

let network: Network;
let mock: MockLlmServer;
let impatient: MockLlmServer;
let client: LloomClient;

Deno.test.beforeAll(async () => {
  network = await Network.open();
  mock = network.mock();
  impatient = network.mock({ models: ["impatient-model"] });
  await network.executor({ backends: [mock] });
  await network.executor({ backends: [impatient], backend: "timeout_secs = 1" });
  client = await network.client();
});

Deno.test.afterAll(() => network?.[Symbol.asyncDispose]());

/** Sends one request into a failure, then one that must succeed. */
function test(
  name: string,
  failure: MockFailure,
  code: ErrorCode,
  delivered = "",
  server: () => MockLlmServer = () => mock,
): void {
  Deno.test({
    name: `${name} is ${code}, and the next request succeeds`,
    ...PROCESS_TEST,
    fn: async () => {
      const { options } = server();
      options.failure = failure;
      const request = { model: options.models?.[0] ?? "mock-model" };
      // A new client, which has not learnt to avoid this executor.
      const completion = (await network.client()).complete(chat(request));
      let text = "";
      await assert.rejects(async () => {
        for await (const chunk of completion) text += textOf(chunk);
      }, { code });
      assert.equal(text, delivered);
      if (delivered === "") {
        await assert.rejects(completion.receipt, { code });
      } else {
        // What was delivered is proven, and so is that it is not all.
        const { response, trailer } = await completion.receipt;
        assert.equal(response.commitment.success, false);
        assert.equal(trailer.error?.code, code);
      }
      delete options.failure;
      assert.equal((await ask(client, request)).text, mockText(16));
    },
  });
}

const status = (status: number): MockFailure => ({ kind: "status", status });

test("a backend's 401", status(401), "backend_unauthorized");
test("a backend's 429", status(429), "rate_limited");
test("a backend's 500", status(500), "backend_failed");
test("a backend's garbage", { kind: "garbage" }, "backend_malformed");
test("half a stream", { kind: "truncate", afterTokens: 8 }, "backend_truncated", mockText(8));
test(
  "an error within a stream",
  { kind: "error", afterTokens: 8 },
  "backend_failed",
  mockText(8),
);
test(
  "a backend that says nothing",
  { kind: "hang", afterTokens: "headers" },
  "backend_timeout",
  "",
  () => impatient,
);
test(
  "a backend that falls silent",
  { kind: "hang", afterTokens: 3 },
  "backend_timeout",
  mockText(3),
  () => impatient,
);
