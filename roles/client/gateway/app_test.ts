import { LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import { FakeEngine } from "../../../tests/support/fake_engine.ts";
import { createApp } from "./app.ts";
import { Guard } from "./guard.ts";
import { healthReport } from "./health.ts";

const ORIGIN = "http://app.example";

function appOf(available = 1) {
  return createApp({
    engine: new FakeEngine({}),
    catalog: {
      list: () => Promise.resolve({ object: "list" }),
      find: (name) =>
        name === "org/model:8b"
          ? Promise.resolve({ id: name })
          : Promise.reject(new LloomError("model_unavailable", "find model: no")),
    },
    health: () =>
      Promise.resolve(healthReport({ peers: 1, executors: { known: 1, available }, active: 0 })),
    metrics: () => Promise.resolve("a 1\n"),
    guard: new Guard({
      host: "127.0.0.1",
      apiKeys: [],
      corsOrigins: [ORIGIN],
      allowedHosts: [],
    }),
  });
}

function visit(path: string, init: RequestInit = {}, app = appOf()): Promise<Response> {
  return app.handle(new Request(`http://localhost${path}`, init));
}

Deno.test("a model is found by its name, whether its slashes are escaped or not", async () => {
  for (const name of ["org/model:8b", "org%2Fmodel%3A8b"]) {
    assert.deepEqual(await (await visit(`/v1/models/${name}`)).json(), { id: "org/model:8b" });
  }
  const unknown = await visit("/v1/models/other");
  assert.deepEqual([unknown.status, (await unknown.json()).error.code], [404, "model_not_found"]);
});

Deno.test("nothing at a path is said in the form that its client reads", async () => {
  const openai = await visit("/v1/nothing");
  assert.deepEqual([openai.status, (await openai.json()).error.code], [404, "not_found"]);
  const anthropic = await visit("/v1/messages/nothing");
  assert.equal((await anthropic.json()).type, "error");
  const headers = { "anthropic-version": "2023-06-01" };
  assert.equal((await (await visit("/v1/models/other", { headers })).json()).type, "error");
  const get = await visit("/v1/chat/completions");
  assert.deepEqual([get.status, get.headers.get("allow")], [405, "POST"]);
});

Deno.test("health is a status, and says in words what is wrong", async () => {
  assert.equal((await visit("/health")).status, 200);
  const ill = await visit("/health", {}, appOf(0));
  assert.equal(ill.status, 503);
  assert.deepEqual((await ill.json()).reasons, ["no executor has a model available"]);
});

Deno.test("HEAD is answered as GET, without a body", async () => {
  const response = await visit("/health", { method: "HEAD" });
  assert.deepEqual([response.status, await response.text()], [200, ""]);
});

Deno.test("a page that may use the gateway may read its refusals too", () => {
  const app = appOf();
  const request = new Request("http://localhost/v1/messages", {
    method: "POST",
    headers: { host: "localhost", origin: ORIGIN, "content-type": "text/plain" },
    body: "x",
  });
  const refusal = app.admit(new Request(request, { headers: withLength(request.headers) }))!;
  assert.equal(refusal.status, 415);
  assert.equal(refusal.headers.get("access-control-allow-origin"), ORIGIN);
});

Deno.test("a body too long is refused in its API's form", async () => {
  const app = appOf();
  const refusal = app.tooLarge(new Request("http://localhost/v1/messages"));
  assert.equal(refusal.status, 413);
  assert.equal((await refusal.json()).error.type, "request_too_large");
});

function withLength(headers: Headers): Headers {
  const copy = new Headers(headers);
  copy.set("content-length", "1");
  return copy;
}
