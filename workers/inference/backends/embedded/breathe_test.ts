import assert from "node:assert/strict";
import { breathe } from "./breathe.ts";

Deno.test("those who breathe take turns in order", async () => {
  const turns: number[] = [];
  await Promise.all([0, 1, 2].map(async (who) => {
    for (let i = 0; i < 20; i++) {
      await breathe();
      turns.push(who);
    }
  }));
  assert.deepEqual(turns, Array.from({ length: 60 }, (_, i) => i % 3));
});

Deno.test("a message that another isolate has sent arrives with the next breath", async () => {
  const code = `onmessage = ({ data }) => {
    postMessage(0);
    Atomics.add(new Int32Array(data), 0, 1);
  }`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, { type: "module" });
  const sent = new Int32Array(new SharedArrayBuffer(4));
  let received = 0;
  worker.onmessage = () => received++;
  try {
    const breaths: number[] = [];
    for (let round = 1; round <= 50; round++) {
      worker.postMessage(sent.buffer);
      while (Atomics.load(sent, 0) < round); // a computation, during which the message is sent
      let count = 0;
      for (; received < round; count++) await breathe();
      breaths.push(count);
    }
    assert.ok(Math.max(...breaths) <= 2, `breaths until the message came: ${breaths}`);
  } finally {
    worker.terminate();
  }
});
