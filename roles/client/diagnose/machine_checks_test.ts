import assert from "node:assert/strict";
import { serveHttp } from "@lloom/host/http";
import { checkGateway } from "./machine_checks.ts";

const HOST = "127.0.0.1";
const { signal } = new AbortController();

/** What is found where a server of ours answers so. */
async function foundAt(answer: () => Response) {
  const server = await serveHttp(
    { host: HOST, port: 0, maxConnections: 4, maxBodyBytes: 10 },
    (request) => new URL(request.url).pathname === "/health" ? answer() : new Response("no"),
  );
  const outcome = await checkGateway({ host: HOST, port: server.port }, signal);
  await server.stop();
  return { outcome, port: server.port };
}

Deno.test("a gateway that runs is known by its health, which is told where it is bad", async () => {
  const { outcome, port } = await foundAt(() => Response.json({ status: "ok" }));
  assert.deepEqual(outcome, { state: "ok", finding: `it runs at http://${HOST}:${port}` });
  const ill = await foundAt(() => Response.json({ status: "unavailable" }, { status: 503 }));
  assert.equal(ill.outcome.state, "warning");
  assert.match(ill.outcome.finding, /says: unavailable$/);
  // Nobody listens there any more.
  const after = await checkGateway({ host: HOST, port }, signal);
  assert.deepEqual(after, {
    state: "ok",
    finding: `it does not run, and ${HOST}:${port} is free for it`,
  });
});

Deno.test("any other program on the gateway's port is in its way", async () => {
  for (const body of ["<html>", "[]", '{"status":1}', "x".repeat(1 << 17)]) {
    const { outcome } = await foundAt(() => new Response(body));
    assert.deepEqual([outcome.state, outcome.code], ["failed", "in_use"]);
  }
});
