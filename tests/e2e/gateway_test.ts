/** `lloom-client gateway` over a network of processes, as its clients and its attackers see it. */
import assert from "node:assert/strict";
import type { Child } from "../support/child_process.ts";
import type { MockLlmServer } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST, readyOf } from "../support/network.ts";

const KEY = "a-key-for-the-test";
const CHAT = { model: "mock-model", messages: [{ role: "user", content: "Hello!" }] };

/** A gateway, and the server behind its only executor. */
class Place implements AsyncDisposable {
  private constructor(
    readonly network: Network,
    readonly backend: MockLlmServer,
    readonly gateway: Child,
    readonly url: string,
  ) {}

  static async open(): Promise<Place> {
    const network = await Network.open();
    try {
      const backend = network.mock({ tokens: 8 });
      const args = ["gateway", "--port", "0", "--format", "json"];
      const gateway = network.command(args, {}, { env: { LLOOM_GATEWAY_KEYS: KEY } });
      const [{ url }] = await Promise.all([
        readyOf(gateway),
        network.executor({ backends: [backend] }),
      ]);
      return new Place(network, backend, gateway, url!);
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  get(path: string): Promise<Response> {
    return fetch(`${this.url}${path}`, { headers: { authorization: `Bearer ${KEY}` } });
  }

  ask(body: unknown, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      ...init,
    });
  }

  /** The status of a request whose head is written by hand: browsers and attackers set other headers. */
  async statusOf(head: readonly string[], body = ""): Promise<number> {
    const { hostname, port } = new URL(this.url);
    using connection = await Deno.connect({ hostname, port: Number(port) });
    const lines = [...head, "connection: close", `content-length: ${body.length}`, "", body];
    await connection.write(new TextEncoder().encode(lines.join("\r\n")));
    const answer = await new Response(connection.readable).text();
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network[Symbol.asyncDispose]();
  }
}

Deno.test("the gateway", PROCESS_TEST, async (t) => {
  await using place = await Place.open();
  const { backend } = place;
  // Whoever is not known is looked for a while.
  const unknown = place.ask({ ...CHAT, model: "nobody-has-this" });

  await t.step("answers as a whole, with who answered", async () => {
    const response = await place.ask(CHAT);
    const answer = await response.json();
    assert.equal(response.status, 200, JSON.stringify(answer));
    assert.match(answer.choices[0].message.content, /one two three/);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.completion_tokens, 8);
    assert.equal(answer.lloom.executor, response.headers.get("x-lloom-executor"));
    assert.match(answer.lloom.requests[0].requestHash, /^0x[0-9a-f]{64}$/);
  });

  await t.step("streams, with the usage at the end", async () => {
    const options = { stream: true, stream_options: { include_usage: true } };
    const text = await (await place.ask({ ...CHAT, ...options })).text();
    const events = text.trim().split("\n\n");
    assert.equal(events.at(-1), "data: [DONE]");
    const usage = JSON.parse(events.at(-2)!.slice("data: ".length));
    assert.equal(usage.usage.completion_tokens, 8);
  });

  await t.step("lists models, and tells how it is", async () => {
    const list = await (await place.get("/v1/models")).json();
    assert.deepEqual(list.data.map(({ id }: { id: string }) => id), ["mock-model"]);
    const model = await (await place.get("/v1/models/mock-model")).json();
    assert.equal(model.endpoints.length, 1);
    assert.equal((await (await place.get("/health")).json()).status, "ok");
    const metrics = await (await place.get("/metrics")).text();
    assert.match(metrics, /^lloom_client_requests_total\{api="chat",outcome="ok"\} 2$/m);
    assert.match(metrics, /^lloom_client_executors_available 1$/m);
  });

  await t.step("lets in who has a key, comes by its name, and is no page of others", async () => {
    const asked = backend.requests.length;
    const post = "POST /v1/chat/completions HTTP/1.1";
    const key = `authorization: Bearer ${KEY}`;
    const json = "content-type: application/json";
    const body = JSON.stringify(CHAT);
    const host = "host: localhost";
    const status = (...head: string[]) => place.statusOf([post, ...head], body);
    assert.equal(await status(host, json), 401);
    assert.equal(await status(host, json, "authorization: Bearer another-key"), 401);
    assert.equal(await status("host: rebound.example", json, key), 403);
    assert.equal(await status(host, json, key, "origin: https://evil.example"), 403);
    assert.equal(await status(host, key, "content-type: text/plain"), 415);
    const spelt = "POST /%76%31/chat/completions HTTP/1.1";
    assert.equal(await place.statusOf([spelt, host, json], body), 401);
    assert.equal(await place.statusOf(["GET /nowhere HTTP/1.1", host]), 401);
    assert.equal(await place.statusOf(["GET /nowhere HTTP/1.1", host, key]), 404);
    assert.equal(backend.requests.length, asked);
  });

  await t.step("says that nobody has a model", async () => {
    const response = await unknown;
    assert.equal(response.status, 404);
    assert.equal((await response.json()).error.code, "model_not_found");
  });

  await t.step("has the model stop when its client hangs up, at whatever moment", async () => {
    const never = new Promise<void>(() => {});
    const long = { delayMs: 20, tokens: 1000 };
    const moments = [
      { name: "in a stream", options: long, stream: true },
      { name: "before its first token", options: { gate: never }, stream: true },
      { name: "in an answer that is not streamed", options: long, stream: false },
    ];
    for (const { name, options, stream } of moments) {
      Object.assign(backend.options, options);
      const client = new AbortController();
      const asked = backend.nextRequest();
      const aborted = backend.nextAbort();
      const response = place.ask({ ...CHAT, stream, max_tokens: 1000 }, { signal: client.signal });
      await asked;
      // In a stream, the head says that the answer has begun.
      if (name === "in a stream") await response;
      client.abort();
      await assert.rejects(response.then((answer) => answer.text()), { name: "AbortError" });
      const { sent } = await aborted;
      assert.ok(sent < 1000, name);
      Object.assign(backend.options, { delayMs: 0, tokens: 8, gate: undefined });
    }
    const metrics = await (await place.get("/metrics")).text();
    assert.match(metrics, /^lloom_client_active_requests 0$/m);
  });

  await t.step("lets answers come to their end when it is told to stop", async () => {
    const gate = Promise.withResolvers<void>();
    backend.options.gate = gate.promise;
    const asked = backend.nextRequest();
    const response = place.ask({ ...CHAT, stream: true });
    await asked;
    place.gateway.kill("SIGTERM");
    gate.resolve();
    assert.match(await (await response).text(), /data: \[DONE\]\n\n$/);
    assert.equal((await place.gateway.ended).code, 0);
  });
});
