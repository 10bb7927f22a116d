import assert from "node:assert/strict";
import { wholeAnswer } from "./answer_form.ts";
import type { PromptRequest } from "./prompt_request.ts";
import type { CompletionReport } from "./report.ts";

const REQUEST: PromptRequest = { model: "m", prompt: "Why?", maxTokens: 9 };

function report(content: string, backend = "ollama"): CompletionReport {
  const parts: Partial<CompletionReport> = {
    content,
    model: "m",
    backend,
    executor: { address: "0xab" } as CompletionReport["executor"],
    client: { address: "0xcd" } as CompletionReport["client"],
    usage: { promptTokens: 1, completionTokens: 2, countedBy: "backend" },
    timings: { ttftMs: 10, totalMs: 1010 },
  };
  return parts as CompletionReport;
}

Deno.test("an answer as text ends with one line end", () => {
  assert.equal(wholeAnswer("text", REQUEST, report("So.")), "So.\n");
  assert.equal(wholeAnswer("text", REQUEST, report("So.\n")), "So.\n");
  assert.equal(wholeAnswer("text", REQUEST, report("")), "");
});

Deno.test("as JSON it is the report on one line", () => {
  const text = wholeAnswer("json", REQUEST, report("a\nb"));
  assert.equal(text.indexOf("\n"), text.length - 1);
  assert.equal(JSON.parse(text).content, "a\nb");
});

Deno.test("as Markdown a stranger's names stay names", () => {
  const text = wholeAnswer(
    "markdown",
    REQUEST,
    report("So.", "x`\n# Paid\n[a](javascript:b)\x1b[2J"),
  );
  const [page, facts] = text.split("\n## Metadata\n\n");
  assert.equal(page, "## Question\n\nWhy?\n\n## Answer\n\nSo.\n");
  const lines = facts!.trimEnd().split("\n");
  assert.equal(lines[0], "- model: `m (x' # Paid [a](javascript:b)\ufffd[2J)`");
  assert.ok(lines.every((line) => /^- \w+: `[^`]*`(?:, `[^`]*`)*$/.test(line)), text);
});
