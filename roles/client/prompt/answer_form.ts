/** What an answer looks like where it is printed: text, JSON, or a page of Markdown. @module */
import { printable, printableJson } from "@lloom/host";
import type { PromptRequest } from "./prompt_request.ts";
import type { CompletionReport } from "./report.ts";

/** How an answer is printed. */
export type AnswerFormat = "text" | "json" | "markdown";

/** What stands before an answer's text; nothing in JSON, of which the text is a part. */
export function beforeAnswer(format: AnswerFormat, { prompt }: PromptRequest): string {
  return format === "markdown" ? `## Question\n\n${prompt}\n\n## Answer\n\n` : "";
}

/** What stands after an answer's text. */
export function afterAnswer(format: AnswerFormat, report: CompletionReport): string {
  const end = report.content === "" || report.content.endsWith("\n") ? "" : "\n";
  if (format !== "markdown") return end;
  const facts = factsOf(report).map(([label, values]) =>
    `- ${label}: ${values.map(code).join(", ")}`
  );
  return `${end}\n## Metadata\n\n${facts.join("\n")}\n`;
}

/** A whole answer. */
export function wholeAnswer(
  format: AnswerFormat,
  request: PromptRequest,
  report: CompletionReport,
): string {
  if (format === "json") return `${printableJson(report)}\n`;
  return beforeAnswer(format, request) + report.content + afterAnswer(format, report);
}

/** Who answered, how fast, at which cost, and what was proven: for people, each fact in some lines. */
export function factsOf(
  report: CompletionReport,
): readonly (readonly [string, readonly string[]])[] {
  const { executor, usage, timings, backend, model, spending } = report;
  const streamMs = timings.totalMs - timings.ttftMs;
  const rate = streamMs > 0 ? (usage.completionTokens / (streamMs / 1000)).toFixed(0) : "–";
  return [
    ["model", [`${printable(model)} (${printable(backend)})`]],
    [
      "executor",
      executor.peerId === undefined ? [executor.address] : [executor.peerId, executor.address],
    ],
    ["tokens", [`${usage.promptTokens} in, ${usage.completionTokens} out`]],
    ["speed", [`${timings.ttftMs.toFixed(0)} ms to the first token, then ${rate} tokens/s`]],
    ...(spending === undefined ? [] : [
      [
        "cost",
        [
          `${spending.cost}, at ${spending.inboundPrice} in and ${spending.outboundPrice} out` +
          " per 1,000,000 tokens",
        ],
      ] as const,
      ["left", [`${spending.channelLeft} on the channel`]] as const,
    ]),
    ["request", [`signed by this client ${report.client.address}, accepted by the executor`]],
    ["receipt", ["signed by the executor over every byte above: checked"]],
  ];
}

/** A stranger's words, as Markdown that shows them and does nothing else. */
function code(text: string): string {
  return `\`${text.replaceAll("`", "'").replaceAll("\n", " ")}\``;
}
