import assert from "node:assert/strict";
import { HttpProblem } from "./error_forms.ts";
import { Guard, type GuardOptions } from "./guard.ts";

const LOCAL: GuardOptions = { host: "127.0.0.1", apiKeys: [], corsOrigins: [], allowedHosts: [] };

/** What a guard says of a request: the code of its refusal, a status, or that it may come in. */
function verdict(
  options: Partial<GuardOptions>,
  headers: Record<string, string>,
  { method = "GET", path = "/v1/models" } = {},
): string | number {
  const request = new Request(`http://localhost${path}`, {
    method,
    headers: { host: "127.0.0.1:4141", ...headers },
  });
  try {
    return new Guard({ ...LOCAL, ...options }).admit(request)?.status ?? "in";
  } catch (error) {
    assert.ok(error instanceof HttpProblem);
    return error.code;
  }
}

Deno.test("names that lead to this machine are answered, and a stranger's is not", () => {
  for (const host of ["localhost", "localhost:4141", "127.0.0.1:80", "[::1]:4141", "LOCALHOST"]) {
    assert.equal(verdict({}, { host }), "in", host);
  }
  for (const host of ["evil.example", "evil.example:4141", "localhost.evil.example", ""]) {
    assert.equal(verdict({}, { host }), "host_refused", host);
  }
  assert.equal(verdict({ allowedHosts: ["llm.home"] }, { host: "llm.home:4141" }), "in");
});

Deno.test("web pages from elsewhere are refused, the own page and configured ones are not", () => {
  const origin = "http://app.example";
  assert.equal(verdict({}, { origin }), "origin_refused");
  assert.equal(verdict({}, { origin: "null" }), "origin_refused");
  assert.equal(verdict({}, { origin: "http://127.0.0.1:3000" }), "origin_refused");
  assert.equal(verdict({}, { origin: "http://127.0.0.1:4141" }), "in");
  assert.equal(verdict({ corsOrigins: [origin] }, { origin }), "in");
});

Deno.test("a browser is told what pages may do, and only those that are configured may read", () => {
  const origin = "http://app.example";
  const guard = new Guard({ ...LOCAL, corsOrigins: [origin] });
  const preflight = guard.admit(
    new Request("http://localhost/v1/messages", {
      method: "OPTIONS",
      headers: {
        host: "localhost",
        origin,
        "access-control-request-headers": "authorization, content-type",
      },
    }),
  );
  assert.equal(preflight?.status, 204);
  assert.equal(
    preflight.headers.get("access-control-allow-headers"),
    "authorization, content-type",
  );
  const cors = guard.corsHeaders(new Headers({ origin }));
  assert.equal(cors["access-control-allow-origin"], origin);
  assert.deepEqual(guard.corsHeaders(new Headers({ origin: "http://evil.example" })), {});
  assert.deepEqual(guard.corsHeaders(new Headers()), {});
});

Deno.test("a body must be JSON: forms are what any web page may send", () => {
  const body = { "content-length": "2" };
  const post = { method: "POST" };
  const types = ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"];
  for (const type of types) {
    const headers = { ...body, "content-type": type };
    assert.equal(verdict({}, headers, post), "media_type_unsupported", type);
  }
  assert.equal(verdict({}, body, post), "media_type_unsupported");
  for (const type of ["application/json", "application/json; charset=utf-8"]) {
    assert.equal(verdict({}, { ...body, "content-type": type }, post), "in");
  }
  assert.equal(verdict({}, {}, post), "in");
});

Deno.test("with keys, APIs and metrics need one; the page and health do not", () => {
  const keys = { apiKeys: ["first-key-1", "second-key"] };
  assert.equal(verdict(keys, {}), "key_invalid");
  assert.equal(verdict(keys, { authorization: "Bearer wrong-key" }), "key_invalid");
  assert.equal(verdict(keys, { authorization: "Bearer second-key" }), "in");
  assert.equal(verdict(keys, { "x-api-key": "first-key-1" }), "in");
  assert.equal(verdict(keys, { authorization: "Bearer none", "x-api-key": "second-key" }), "in");
  assert.equal(verdict(keys, {}, { path: "/metrics" }), "key_invalid");
  for (const path of ["/", "/health", "/page/page.js"]) {
    assert.equal(verdict(keys, {}, { path }), "in", path);
  }
});

Deno.test("a path that is spelt otherwise needs a key too: routes know it all the same", () => {
  const keys = { apiKeys: ["first-key-1"] };
  const spellings = ["/%76%31/chat/completions", "/v%31/models", "/%6detrics", "//v1/models"];
  for (const path of [...spellings, "/nothing"]) {
    assert.equal(verdict(keys, {}, { path }), "key_invalid", path);
  }
});

Deno.test("other machines are not served without a key", () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.5"]) {
    assert.throws(() => new Guard({ ...LOCAL, host }), { code: "config_invalid" });
    new Guard({ ...LOCAL, host, apiKeys: ["some-long-key"] });
  }
  for (const host of ["localhost", "127.0.0.1", "::1"]) new Guard({ ...LOCAL, host });
});
