import { ERROR_CODES, LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import { errorForm, errorResponse, HttpProblem } from "./error_forms.ts";

Deno.test("every code has a status of an error", () => {
  for (const code of ERROR_CODES) {
    const { status } = errorForm(new LloomError(code, "ask: no"));
    assert.ok(status >= 400 && status < 600, code);
  }
});

Deno.test("an error has the form that OpenAI's clients read", async () => {
  const error = new LloomError("overloaded", "admit: full", { retryAfterMs: 1500 });
  const response = errorResponse(error, "openai");
  assert.equal(response.status, 429);
  assert.equal(response.headers.get("retry-after"), "2");
  assert.deepEqual(await response.json(), {
    error: {
      message: "admit: full",
      type: "rate_limit_error",
      param: null,
      code: "rate_limit_exceeded",
      lloom: { code: "overloaded" },
    },
  });
});

Deno.test("an error has the form that Anthropic's clients read", async () => {
  const response = errorResponse(new LloomError("budget_exceeded", "pay: too much"), "anthropic");
  assert.equal(response.status, 402);
  assert.deepEqual(await response.json(), {
    type: "error",
    error: { type: "billing_error", message: "pay: too much", lloom: { code: "budget_exceeded" } },
  });
});

Deno.test("what nobody foresaw is told without its details", async () => {
  const text = await errorResponse(new Error("a secret path"), "openai").text();
  assert.doesNotMatch(text, /secret/);
});

Deno.test("a refusal of HTTP has its status and its headers", () => {
  const problem = new HttpProblem("method_not_allowed", "use POST", { allow: "POST" });
  const { status, headers } = errorResponse(problem, "openai");
  assert.deepEqual([status, headers.get("allow")], [405, "POST"]);
});
