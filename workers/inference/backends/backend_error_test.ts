import assert from "node:assert/strict";
import fc from "fast-check";
import { errorInBody, errorOfResponse, quote, retryAfterMs } from "./backend_error.ts";

Deno.test("Retry-After is read as seconds and as a date, and bounded", () => {
  const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");
  assert.equal(retryAfterMs("0", now), 0);
  assert.equal(retryAfterMs(" 1.5 ", now), 1500);
  assert.equal(retryAfterMs("Wed, 21 Oct 2026 07:28:30 GMT", now), 30_000);
  assert.equal(retryAfterMs("Wed, 21 Oct 2026 07:27:00 GMT", now), 0);
  assert.equal(retryAfterMs("99999999", now), 3_600_000);
  assert.equal(retryAfterMs("soon", now), undefined);
  assert.equal(retryAfterMs(null, now), undefined);
});

Deno.test("a server's message is one short printable line, whatever it was", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (text) => {
    const quoted = quote(text);
    assert.ok(quoted.length <= 201);
    assert.ok(!/[\p{Cc}\n\r]/u.test(quoted));
  }));
});

Deno.test("credentials and addresses are taken out of a message", () => {
  const message = quote(
    "key hunter2 at http://10.0.0.7:8000/v1?k=1, Bearer abc.def, sk-proj-abcdef1234 failed",
    "hunter2",
  );
  for (const secret of ["hunter2", "10.0.0.7", "abc.def", "abcdef1234"]) {
    assert.ok(!message.includes(secret), message);
  }
  assert.ok(message.startsWith("key") && message.endsWith("failed"));
});

Deno.test("a message is found in every shape that servers use", () => {
  for (
    const body of [
      { error: { message: "why" } },
      { error: "why" },
      { message: "why" },
      { detail: "why" },
    ]
  ) {
    assert.equal(errorOfResponse(400, body, null, "").message, "call backend: status 400, why");
    assert.equal(errorInBody(body, "").message, "read answer: backend error, why");
  }
  for (const body of [undefined, null, 7, [], { error: 7 }, { error: { message: {} } }]) {
    assert.equal(errorOfResponse(502, body, null, "").message, "call backend: status 502");
  }
});
