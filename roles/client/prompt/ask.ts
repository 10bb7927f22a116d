/** `--prompt`: one question, its answer as it comes, and how it was proven. @module */
import type { Receipt } from "@lloom/core/net";
import { type OutputFile, print, printable, printError } from "@lloom/host";
import { saysSomething, textOf } from "../asking/chat_chunk.ts";
import type { CompleteOptions, LloomClient } from "../client.ts";
import { acknowledgementOf, spendingOf } from "../spending.ts";
import {
  afterAnswer,
  type AnswerFormat,
  beforeAnswer,
  factsOf,
  wholeAnswer,
} from "./answer_form.ts";
import { chatRequest, type PromptRequest } from "./prompt_request.ts";
import { type CompletionReport, reportOf } from "./report.ts";

/** Where an answer goes, and how. */
export interface AnswerOptions {
  /** What it looks like. */
  readonly format: AnswerFormat;
  /** Whether its text is printed while it comes. @default true, but not in JSON or to a file */
  readonly stream?: boolean | undefined;
  /** Takes the whole answer instead of standard output. */
  readonly output?: OutputFile | undefined;
  /** Called before anything is printed. */
  readonly onFirst?: () => void;
}

/**
 * Asks, and reports.
 * @param onText told of every piece of text as it comes
 */
export async function ask(
  client: LloomClient,
  request: PromptRequest,
  options: CompleteOptions,
  onText: (text: string) => void = () => {},
): Promise<CompletionReport> {
  const body = new TextEncoder().encode(JSON.stringify(chatRequest(request)));
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
    backend: client.backendOf(receipt.executor.peerId, request.model) ?? "unknown",
    client: client.identity,
    domain: client.domainOf(receipt.request.commitment.channelId),
    ttftMs: (firstMs ?? endMs) - startMs,
    totalMs: endMs - startMs,
    ...(acknowledged && { acknowledged }),
    ...(spending && { spending }),
  });
}

/** Asks, and has the answer where it is wanted: while it comes, or once it is whole and proven. */
export async function askAndPrint(
  client: LloomClient,
  request: PromptRequest,
  options: CompleteOptions,
  { format, stream = true, output, onFirst = () => {} }: AnswerOptions,
): Promise<CompletionReport> {
  if (format === "json" || !stream || output !== undefined) {
    const report = await ask(client, request, options);
    onFirst();
    const whole = wholeAnswer(format, request, report);
    if (output === undefined) show(whole);
    else output.write(whole);
    return report;
  }
  let shown = "";
  const onText = (text: string) => {
    if (shown === "") {
      onFirst();
      show(beforeAnswer(format, request));
    }
    show(text);
    shown = text;
  };
  try {
    const report = await ask(client, request, options, onText);
    if (shown === "") onText("");
    show(afterAnswer(format, report));
    shown = "\n";
    return report;
  } finally {
    // Whatever broke it, what is said about it begins a line.
    if (shown !== "" && !shown.endsWith("\n")) print("\n");
  }
}

/** Prints what may hold a stranger's text: a program gets it as it is, a terminal what is harmless. */
function show(text: string): void {
  print(Deno.stdout.isTerminal() ? printable(text) : text);
}

/** Tells on standard error who answered, how fast, and what was proven. */
export function printSummary(report: CompletionReport): void {
  const lines = factsOf(report).flatMap(([label, values]) =>
    values.map((value, i) => `${(i === 0 ? label : "").padEnd(11)}${value}`)
  );
  printError(["", ...lines, ""].join("\n"));
}
