import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { postCallback } from "./callback.ts";

/** A service that answers with these statuses, one after the other; what it was sent. */
async function withService(
  statuses: readonly number[],
  test: (url: string, bodies: readonly unknown[]) => Promise<void>,
): Promise<void> {
  const bodies: unknown[] = [];
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (req) => {
      const status = statuses[bodies.length] ?? 500;
      bodies.push(await req.json());
      return new Response(null, { status, ...(status === 302 && { headers: { location: "/" } }) });
    },
  );
  await test(`http://127.0.0.1:${server.addr.port}/`, bodies);
}

const { signal } = new AbortController();
const RESULT = { cost: 12n };

Deno.test("a callback that fails is tried again, and told once it is taken", () =>
  withService([503, 429, 204], async (url, bodies) => {
    await postCallback(url, RESULT, signal, [0, 0]);
    assert.deepEqual(bodies, [{ cost: "12" }, { cost: "12" }, { cost: "12" }]);
  }));

Deno.test("a callback that is refused or redirected is not repeated, and never quiet", async () => {
  for (const status of [404, 302]) {
    await withService([status], async (url, bodies) => {
      await assert.rejects(postCallback(url, RESULT, signal, [0, 0]), {
        code: "peer_unreachable",
        message: `post callback: the answer was HTTP ${status}`,
      });
      assert.equal(bodies.length, 1);
    });
  }
  await withService([500, 500], async (url, bodies) => {
    await assert.rejects(postCallback(url, RESULT, signal, [0]), LloomError);
    assert.equal(bodies.length, 2);
  });
});

Deno.test("where nobody listens it says so; an interrupt ends the waiting", async () => {
  let url = "";
  await withService([], (at) => Promise.resolve(void (url = at)));
  await assert.rejects(postCallback(url, RESULT, signal, [0]), { code: "peer_unreachable" });
  const abort = new AbortController();
  const waiting = postCallback(url, RESULT, abort.signal, [600_000]);
  abort.abort();
  await assert.rejects(waiting, { code: "aborted" });
});
