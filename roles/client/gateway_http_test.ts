import assert from "node:assert/strict";
import { serveHttp } from "@lloom/host/http";
import { callGateway, gatewayUrl } from "./gateway_http.ts";

const { signal } = new AbortController();

Deno.test("a gateway is asked as it is told, and its answer read to a bound", async () => {
  const server = await serveHttp(
    { host: "127.0.0.1", port: 0, maxConnections: 4, maxBodyBytes: 100 },
    async (request) =>
      Response.json([request.method, request.headers.get("x-api-key"), await request.text()], {
        status: 201,
      }),
  );
  const url = gatewayUrl("0.0.0.0", server.port);
  const call = { method: "POST", headers: { "x-api-key": "key" }, body: "Grüße" } as const;
  const { status, body } = await callGateway(url, call, 1000, signal);
  assert.equal(status, 201);
  assert.deepEqual(JSON.parse(new TextDecoder().decode(body)), ["POST", "key", "Grüße"]);
  const long = await callGateway(url, { ...call, body: "x".repeat(90) }, 10, signal);
  assert.ok(long.body.length > 10);
  await server.stop();
  await assert.rejects(callGateway(url, {}, 1000, signal), { code: "ECONNREFUSED" });
  await assert.rejects(callGateway(url, {}, 1000, AbortSignal.abort()), { name: "AbortError" });
});

Deno.test("a gateway that listens everywhere is asked at home", () => {
  const urls = ["127.0.0.1", "0.0.0.0", "::", "::1", "fd00::7", "localhost"]
    .map((host) => gatewayUrl(host, 80));
  assert.deepEqual(urls, [
    ...["http://127.0.0.1:80", "http://127.0.0.1:80", "http://[::1]:80", "http://[::1]:80"],
    ...["http://[fd00::7]:80", "http://localhost:80"],
  ]);
});
