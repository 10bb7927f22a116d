/** `--prompt`: one question, its answer as it comes, and how it was proven. @module */
import type { Receipt } from "@lloom/core/net";
import type { JsonObject } from "@lloom/core/protocol";
import { print, printable, printableJson, printError } from "@lloom/host";
import { saysSomething, textOf } from "./chat_chunk.ts";
import type { CompleteOptions, LloomClient } from "./client.ts";
import { type CompletionReport, reportOf } from "./report.ts";
import { acknowledgementOf, spendingOf } from "./spending.ts";

/** One question. */
export interface Question {
  readonly model: string;
  readonly prompt: string;
  readonly systemPrompt?: string;
  readonly temperature?: number;
  readonly maxTokens: number;
}

/** A question as an OpenAI chat-completion request. */
export function chatRequest(question: Question): JsonObject {
  const { model, prompt, systemPrompt, temperature, maxTokens } = question;
  return {
    model,
    messages: [
      ...(systemPrompt === undefined ? [] : [{ role: "system", content: systemPrompt }]),
      { role: "user", content: prompt },
    ],
    max_tokens: maxTokens,
    ...(temperature !== undefined && { temperature }),
  };
}

/**
 * Asks, and reports.
 * @param onText told of every piece of text as it comes
 */
export async function ask(
  client: LloomClient,
  question: Question,
  options: CompleteOptions,
  onText: (text: string) => void,
): Promise<CompletionReport> {
  const body = new TextEncoder().encode(JSON.stringify(chatRequest(question)));
  const startMs = performance.now();
  let firstMs: number | undefined;
  let content = "";
  const completion = client.complete(body, options);
  for await (const chunk of completion) {
    if (saysSomething(chunk)) firstMs ??= performance.now();
    const text = textOf(chunk);
    content += text;
    if (text !== "") onText(text);
  }
  const receipt: Receipt = await completion.receipt;
  const endMs = performance.now();
  const { wallet } = client;
  const acknowledged = wallet && await acknowledgementOf(receipt, wallet);
  const spending = wallet && await spendingOf(receipt, wallet);
  return reportOf(receipt, {
    content,
    body,
    backend: client.backendOf(receipt.executor.peerId, question.model) ?? "unknown",
    client: client.identity,
    domain: client.domainOf(receipt.request.commitment.channelId),
    ttftMs: (firstMs ?? endMs) - startMs,
    totalMs: endMs - startMs,
    ...(acknowledged && { acknowledged }),
    ...(spending && { spending }),
  });
}

/**
 * Prints the answer while it comes: as text to standard output, or as one object at its end.
 * @param onFirst called before the first text is printed
 */
export async function askAndPrint(
  client: LloomClient,
  question: Question,
  options: CompleteOptions,
  format: "text" | "json",
  onFirst: () => void = () => {},
): Promise<CompletionReport> {
  const terminal = Deno.stdout.isTerminal();
  let open = false;
  const onText = (text: string) => {
    onFirst();
    print(terminal ? printable(text) : text);
    open = !text.endsWith("\n");
  };
  try {
    const report = await ask(client, question, options, format === "text" ? onText : () => {});
    if (format === "json") print(`${printableJson(report)}\n`);
    return report;
  } finally {
    if (open) print("\n");
  }
}

/** Tells on standard error who answered, how fast, and what was proven. */
export function printSummary(report: CompletionReport): void {
  const { executor, usage, timings, backend, model, spending } = report;
  const streamMs = timings.totalMs - timings.ttftMs;
  const rate = streamMs > 0 ? (usage.completionTokens / (streamMs / 1000)).toFixed(0) : "–";
  printError([
    "",
    `model      ${printable(model)} (${printable(backend)})`,
    `executor   ${executor.peerId}`,
    `           ${executor.address}`,
    `tokens     ${usage.promptTokens} in, ${usage.completionTokens} out`,
    `speed      ${timings.ttftMs.toFixed(0)} ms to the first token, then ${rate} tokens/s`,
    ...(spending === undefined ? [] : [
      `cost       ${spending.cost}, at ${spending.inboundPrice} in and ${spending.outboundPrice} out` +
      " per 1,000,000 tokens",
      `left       ${spending.channelLeft} on the channel`,
    ]),
    `request    signed by this client ${report.client.address}, accepted by the executor`,
    `receipt    signed by the executor over every byte above: checked`,
    "",
  ].join("\n"));
}
