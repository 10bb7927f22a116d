/** `--prompt`: reads the question, asks it, and sends the report on. @module */
import { type CommandContext, OutputFile, print, printable, printableJson } from "@lloom/host";
import type { ClientConfig } from "@lloom/host/config";
import { routingOptions } from "../asking/routing_options.ts";
import { postCallback } from "../callback.ts";
import type { Flags } from "../flags.ts";
import { advised, type NetworkContext, withNetwork } from "../network.ts";
import { showProgress } from "../progress.ts";
import type { AnswerFormat } from "./answer_form.ts";
import { askAndPrint, printSummary } from "./ask.ts";
import { chatRequest, type PromptRequest, promptRequest, readPrompt } from "./prompt_request.ts";

/** Asks one question, has the gateway ask it, or says what asking it would do. */
export async function runPrompt(
  flags: Flags,
  answerFormat: AnswerFormat,
  context: CommandContext<ClientConfig>,
  signal: AbortSignal,
): Promise<void> {
  const { defaults } = context.config.client;
  const demo = flags.demo && await import("../demo/demo.ts");
  const request = promptRequest(demo ? demo.DEMO_PROMPT : await readPrompt(flags.prompt), {
    ...defaults,
    model: defaults.model ?? (demo ? demo.DEMO_MODEL : undefined),
  });
  if (flags.async) {
    const { askGateway } = await import("./gateway_call.ts");
    const { id, status } = await askGateway(request, flags, context.config, signal);
    const shown = context.format === "json" ? printableJson({ id, status }) : printable(`${id}`);
    return print(`${shown}\n`);
  }
  // Before anything is asked: an answer is paid for, and has to be kept.
  using output = outputOf(flags);
  await withNetwork(context, signal, async (network) => {
    const hide = showProgress(() => `searching the network, ${network.client.peers} peers`);
    try {
      await (flags.dryRun
        ? dryRun(flags, request, network, hide)
        : askOnce(flags, request, { answerFormat, output, onFirst: hide }, network));
    } catch (error) {
      throw advised(error);
    } finally {
      hide();
    }
  });
}

interface Destination {
  readonly answerFormat: AnswerFormat;
  readonly output: OutputFile | undefined;
  readonly onFirst: () => void;
}

async function askOnce(
  { stream, priority, callbackUrl }: Flags,
  request: PromptRequest,
  { answerFormat, output, onFirst }: Destination,
  { client, config, signal }: NetworkContext,
): Promise<void> {
  const options = { ...routingOptions(config, priority), signal };
  const answer = { format: answerFormat, stream, output, onFirst };
  const report = await askAndPrint(client, request, options, answer);
  const isWorthIt = Deno.stderr.isTerminal() || report.spending !== undefined;
  if (answerFormat === "text" && isWorthIt) printSummary(report);
  if (callbackUrl !== undefined) await postCallback(callbackUrl, report, signal);
}

async function dryRun(
  { priority }: Flags,
  request: PromptRequest,
  { client, wallet, config, format, signal }: NetworkContext,
  onFound: () => void,
): Promise<void> {
  const body = new TextEncoder().encode(JSON.stringify(chatRequest(request)));
  const { printDryRun } = await import("./dry_run.ts");
  const options = { ...routingOptions(config, priority), signal };
  await printDryRun(client, body, options, wallet, format, onFound);
}

function outputOf({ output, appendOutput, dryRun }: Flags): OutputFile | undefined {
  if (dryRun) return undefined;
  if (output !== undefined) return OutputFile.open(output, "replace");
  return appendOutput === undefined ? undefined : OutputFile.open(appendOutput, "append");
}
