/** Executors that die or dawdle, and a client that gets its answer all the same. */
import assert from "node:assert/strict";
import { textOf } from "@lloom/client";
import { LloomError } from "@lloom/core/errors";
import { ask, chat } from "../support/asking.ts";
import { type MockFailure, mockText } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST, type RunningRole } from "../support/network.ts";

Deno.test({
  name: "an answer outlives its executor, and a slow one is outrun",
  ...PROCESS_TEST,
  async fn(t) {
    await using network = await Network.open();
    const start = async (failure: MockFailure | undefined) => {
      const mock = network.mock({ dialect: "vllm", ...(failure && { failure }) });
      return { mock, executor: await network.executor({ backends: [mock] }) };
    };
    const [slow, dying, sound] = await Promise.all([
      start({ kind: "hang", afterTokens: "headers" }),
      start({ kind: "hang", afterTokens: 5 }),
      start(undefined),
    ]);
    const client = await network.client();
    const inOrder = (...executors: readonly { readonly executor: RunningRole }[]) => ({
      strategy: {
        type: "specific",
        names: executors.map(({ executor }) => executor.peerId),
      } as const,
    });

    await t.step("who says nothing for too long is cancelled, down to the model", async () => {
      const aborted = slow.mock.nextAbort();
      const { text, receipt } = await ask(client, {}, {
        ...inOrder(slow, sound),
        hedgeAfterMs: 30,
      });
      assert.equal(text, mockText(16));
      assert.equal(receipt.executor.peerId, sound.executor.peerId);
      await aborted;
    });

    await t.step("an executor killed in mid-answer is continued by another", async () => {
      const completion = client.complete(chat({ max_tokens: 32 }), {
        ...inOrder(dying, sound),
        continueBroken: true,
      });
      const pieces: string[] = [];
      for await (const chunk of completion) {
        pieces.push(textOf(chunk));
        if (pieces.join("") === mockText(5)) await dying.executor.destroy();
      }
      assert.equal(pieces.join(""), mockText(16), "nothing is lost, and nothing comes twice");

      const [broken, last] = completion.parts;
      assert.equal(broken?.error?.code, "stream_broken");
      assert.equal(last?.continues, broken?.requestHash);
      assert.equal(last?.requestHash, (await completion.receipt).requestHash);
      const { body } = sound.mock.requests.at(-1)!;
      assert.deepEqual(body.messages, [
        ...[{ role: "user", content: "hi" }, { role: "assistant", content: mockText(5) }],
      ]);
      assert.equal(body.max_tokens, 32 - broken!.tokens);
      const { completionTokens, estimated } = completion.usage();
      assert.equal(completionTokens, broken!.tokens + 16 - 5);
      assert.ok(estimated, "who was killed signed for nothing");
    });

    await t.step(
      "where nobody is left, the reader is told, after what retries it allows",
      async () => {
        const retry = { maxAttempts: 3, initialDelayMs: 5, maxDelayMs: 5, base: 1 };
        const completion = client.complete(chat(), { ...inOrder(dying), retry });
        await assert.rejects(completion.drain(), (error) => {
          assert.ok(
            error instanceof LloomError && error.code === "peer_unreachable",
            String(error),
          );
          return true;
        });
        assert.equal(completion.parts.length, 3);
      },
    );
  },
});
