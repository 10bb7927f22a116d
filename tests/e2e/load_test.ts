/** Many clients at once, slow ones, and one that goes away. */
import assert from "node:assert/strict";
import { textOf } from "@lloom/client";
import { toHex } from "@lloom/core/bytes";
import { keccak_256 } from "@noble/hashes/sha3";
import { ask, chat } from "../support/asking.ts";
import { mockText } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST } from "../support/network.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, fn });
}

test("64 answers under way at once are all complete and proven", async () => {
  await using network = await Network.open();
  const gate = Promise.withResolvers<void>();
  const mock = network.mock({ tokens: 100, gate: gate.promise });
  await network.executor({ backends: [mock], backend: "max_concurrent = 64" });
  const client = await network.client();
  const asking = Promise.all(
    Array.from(
      { length: 64 },
      (_, i) => ask(client, { messages: [{ role: "user", content: `question ${i}` }] }),
    ),
  );
  while (mock.requests.length < 64) await mock.nextRequest();
  gate.resolve();
  const answers = await asking;
  for (const { text, receipt } of answers) {
    assert.equal(text, mockText(100));
    assert.equal(receipt.response.commitment.success, true);
    assert.equal(receipt.response.commitment.requestHash, receipt.requestHash);
    assert.equal(receipt.response.commitment.contentHash, toHex(keccak_256(receipt.content)));
  }
  assert.equal(new Set(answers.map(({ receipt }) => receipt.requestHash)).size, 64);
});

/** Resident memory of a process, in bytes. */
async function residentBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Resolves once a figure stays the same for half a second. */
async function settled(figure: () => number): Promise<number> {
  let last = figure();
  for (let same = 0; same < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = figure();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}

Deno.test({
  name: "a reader that stalls holds the backend back and the executor's memory down, then gets all",
  ...PROCESS_TEST,
  // Memory is read from /proc.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using network = await Network.open();
    const tokens = 24_000;
    const tokenPadding = 1000;
    const mock = network.mock({ tokens: 10, tokenPadding });
    const executor = await network.executor({ backends: [mock] });
    const client = await network.client();
    // Its tokens are long; an answer may have so many characters for each that was asked for.
    const request = { max_tokens: 2_000_000 };
    await ask(client, request);
    const before = await residentBytes(executor.child.pid);

    mock.options.tokens = tokens;
    const completion = client.complete(chat(request));
    const pieces = completion[Symbol.asyncIterator]();
    const first = await pieces.next();
    const served = mock.requests.at(-1)!;
    const sent = await settled(() => served.sent);
    const grown = await residentBytes(executor.child.pid) - before;
    const sentBytes = sent * tokenPadding;
    console.info(
      `stalled after ${(sentBytes / 1e6).toFixed(1)} MB of ${tokens * tokenPadding / 1e6} MB,` +
        ` executor grown by ${(grown / 1e6).toFixed(1)} MB`,
    );
    assert.ok(sent < 3 / 4 * tokens, `the backend was let send ${sent} of ${tokens} tokens`);
    assert.ok(grown < 64 << 20, `the executor grew by ${grown} bytes`);
    // The stalled answer holds up no other one, on the same connection.
    mock.options.tokens = 10;
    const other = await ask(client, request);
    assert.equal(other.text.length, mockText(10, tokenPadding).length);
    assert.equal(served.sent, sent);

    let length = textOf(first.value!).length;
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
      length += textOf(next.value).length;
    }
    assert.equal(length, mockText(tokens, tokenPadding).length);
    const { response } = await completion.receipt;
    assert.equal(response.commitment.success, true);
    assert.equal(response.commitment.outboundTokens, tokens);
  },
});

test("a client that is killed has its backend's answer stopped", async () => {
  await using network = await Network.open();
  const mock = network.mock({ tokens: 100_000, delayMs: 5 });
  const executor = await network.executor({ backends: [mock] });
  const client = network.command(
    ["--prompt", "hi", "--model", "mock-model", "--max-tokens", "100000"],
  );
  await client.printed(mockText(3));
  const aborted = mock.nextAbort();
  const killedAt = Date.now();
  client.kill("SIGKILL");
  const { abortedAt } = await aborted;
  const tookMs = abortedAt! - killedAt;
  console.info(`the backend saw the client's end after ${tookMs} ms`);
  assert.ok(tookMs < 2000, `${tookMs} ms`);
  await executor.child.logged(
    /request for mock-model ended after .*: (?:aborted|stream_broken)/,
  );
});
