/** The executor's program: what it offers, how it stops, and what it remembers. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { LLM_PROTOCOL } from "@lloom/core/protocol";
import { ask, chat } from "../support/asking.ts";
import { textOf } from "@lloom/client";
import { mockText } from "../support/mock_llm_server.ts";
import { kill, Network, PROCESS_TEST } from "../support/network.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { nextFrame, signedOpen } from "../support/raw_request.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, fn });
}

test("--test leaves out a model that fails, and tells how each did", async () => {
  await using network = await Network.open();
  const good = network.mock({ models: ["good-model"] });
  const bad = network.mock({ models: ["bad-model"], failure: { kind: "status", status: 500 } });
  const executor = await network.executor({ backends: [bad, good], args: ["--test"] });
  const listing = await network.run("--discover-models", "--format", "json");
  const ids = JSON.parse(listing.stdout).models.map(({ id }: { id: string }) => id);
  assert.deepEqual(ids, ["good-model"]);
  assert.equal(bad.requests.length, 1);
  kill(executor.child, "SIGTERM");
  const { code, stdout } = await executor.child.ended;
  assert.equal(code, 0);
  const tests = stdout.trim().split("\n").map((line) => JSON.parse(line))
    .filter(({ event }) => event === "tested")
    .map(({ model, ok, error }) => [model, ok, error?.code]);
  assert.deepEqual(tests.sort(), [
    ["bad-model", false, "backend_failed"],
    ["good-model", true, undefined],
  ]);
});

test("on SIGTERM an executor finishes what it serves, is listed no more, and exits with 0", async () => {
  await using network = await Network.open();
  const gate = Promise.withResolvers<void>();
  const mock = network.mock({ gate: gate.promise });
  const executor = await network.executor({ backends: [mock] });
  const client = await network.client();
  const asked = mock.nextRequest();
  const answer = ask(client);
  await asked;
  kill(executor.child, "SIGTERM");
  const validator = network.validators[0]!;
  await validator.child.logged(new RegExp(`removal.* of .*${executor.peerId}`));
  assert.deepEqual(await network.listed(validator), []);
  gate.resolve();
  assert.equal((await answer).text, mockText(16));
  assert.equal((await executor.child.ended).code, 0);
});

test("on SIGTERM an answer that does not end in time ends with a receipt for its part", async () => {
  await using network = await Network.open();
  const mock = network.mock({ failure: { kind: "hang", afterTokens: 3 } });
  const executor = await network.executor({ backends: [mock] });
  const completion = (await network.client()).complete(chat());
  let text = "";
  await assert.rejects(async () => {
    for await (const chunk of completion) {
      text += textOf(chunk);
      if (text === mockText(3)) kill(executor.child, "SIGTERM");
    }
  }, { code: "shutting_down" });
  const { response, trailer } = await completion.receipt;
  assert.equal(text, mockText(3));
  assert.equal(response.commitment.success, false);
  assert.equal(response.commitment.outboundTokens, 3);
  assert.equal(trailer.error?.code, "shutting_down");
  assert.equal((await executor.child.ended).code, 0);
});

test("an executor restarted after kill -9 still refuses a request that it served before", async () => {
  await using network = await Network.open(0);
  const mock = network.mock();
  const before = await network.executor({ backends: [mock], name: "restarted" });
  await using peer = await RawPeer.start();
  const frame = await signedOpen(peer, before.ready.address);
  const stream = await peer.open(before.ready.multiaddrs[0]!, LLM_PROTOCOL);
  stream.sendFrame(frame);
  assert.equal((await nextFrame(stream))?.type, "accept");
  await before.destroy();

  const after = await network.executor({ backends: [mock], name: "restarted" });
  assert.equal(after.peerId, before.peerId);
  const again = await peer.open(after.ready.multiaddrs[0]!, LLM_PROTOCOL);
  again.sendFrame(frame);
  const refusal = await nextFrame(again);
  assert.equal(refusal?.type === "reject" && refusal.error.code, "request_replayed");
  again.sendFrame(await signedOpen(peer, after.ready.address));
  assert.equal((await nextFrame(again))?.type, "accept");
});

Deno.test({
  name: "a key file that others may read keeps an executor from starting, with code 3",
  ...PROCESS_TEST,
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using network = await Network.open(0);
    const backends = [network.mock()];
    const executor = await network.executor({ backends, name: "keyed" });
    const key = join(executor.dataDir, "identity.key");
    assert.equal((await Deno.stat(key)).mode! & 0o777, 0o600);
    await executor.destroy();
    await Deno.chmod(key, 0o644);
    await assert.rejects(
      network.executor({ backends, name: "keyed" }),
      /exit code 3\n.*other users may read it; run: chmod 600/,
    );
  },
});
