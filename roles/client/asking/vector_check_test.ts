import assert from "node:assert/strict";
import { ScriptedExecutors } from "../../../tests/support/scripted_executors.ts";

const EMBED = { model: "m", input: ["one", "two"] };
const ONE = "AACAPw==";

const line = (...data: readonly object[]) =>
  new TextEncoder().encode(`${JSON.stringify({ data })}\n`);
const vector = (index: unknown, embedding: unknown = ONE) => ({ index, embedding });

Deno.test("an executor that gives other vectors than were asked for is replaced", async () => {
  const faulty = [
    [], // none
    [line(vector(2))],
    [line(vector(0), vector(0))],
    [line(vector(0, [1]), vector(1))],
    [line(vector(0, "no base64!"), vector(1))],
    [line(vector(0, "AAAA"), vector(1))],
    [line(vector(0, ""), vector(1, ""))],
    [line(vector(0, "AACAPwAAgD8="), vector(1))],
    [new TextEncoder().encode('{"choices":[]}\n')],
  ];
  for (const lines of faulty) {
    const executors = new ScriptedExecutors("a", "b");
    const completion = executors.complete(EMBED);
    const read = Array.fromAsync(completion.lines());
    (await executors.next()).say(...lines).end({ tokens: 0, promptTokens: 2 });
    (await executors.next()).say(line(vector(1), vector(0))).end({ tokens: 0, promptTokens: 2 });
    assert.equal((await read).length, 1);
    assert.deepEqual(executors.observed.filter((what) => what !== "a first token"), [
      ...["a protocol_violation", "b first token", "b succeeded"],
    ]);
  }
});

Deno.test("vectors that are not all there are no whole answer", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const read = Array.fromAsync(executors.complete(EMBED).lines());
  (await executors.next()).say(line(vector(0))).end({ tokens: 0, promptTokens: 2 });
  await assert.rejects(read, { code: "protocol_violation" });
  assert.deepEqual(executors.observed, ["a first token", "a protocol_violation"]);
});
