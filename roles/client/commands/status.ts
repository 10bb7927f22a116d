/** `status`: what became of a question that the gateway asks in the background (`--async`). @module */
import { Command } from "@commander-js/extra-typings";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import {
  isoTime,
  openCommand,
  type ParsedCommand,
  print,
  printable,
  printableJson,
  printPairs,
  runInterruptibly,
} from "@lloom/host";
import { CLIENT_SETTINGS } from "@lloom/host/config";
import { findResponse } from "../prompt/gateway_call.ts";

/** `status <id>` */
export function statusCommand(): Command<[string]> {
  return new Command("status")
    .description("tell how a question is that `--async` had the gateway ask, and its answer")
    .argument("<id>", "what `--async` printed")
    .action((id, _options, command) => runInterruptibly((signal) => run(id, command, signal)));
}

async function run(id: string, command: ParsedCommand, signal: AbortSignal): Promise<void> {
  const { config, format } = openCommand(CLIENT_SETTINGS, command);
  const response = await findResponse(id, config, signal);
  if (format === "json") return print(`${printableJson(response)}\n`);
  const { lloom, error, usage } = response;
  printPairs([
    ["status", textOf(response.status)],
    ["asked", timeOf(response.created_at)],
    ["ended", timeOf(response.completed_at)],
    ["model", textOf(response.model)],
    ["executor", isJsonObject(lloom) ? textOf(lloom.executor) : undefined],
    [
      "tokens",
      isJsonObject(usage) ? `${usage.input_tokens} in, ${usage.output_tokens} out` : undefined,
    ],
    [
      "cost",
      isJsonObject(lloom) && lloom.cost !== undefined ? `${lloom.cost} ${lloom.asset}` : undefined,
    ],
    ["error", isJsonObject(error) ? textOf(error.message) : undefined],
  ]);
  const answer = answerOf(response);
  if (answer !== "") print(`\n${printable(answer)}${answer.endsWith("\n") ? "" : "\n"}`);
}

/** The words of a response's messages. */
function answerOf({ output }: JsonObject): string {
  return objects(output).filter(({ type }) => type === "message")
    .flatMap(({ content }) => objects(content))
    .map(({ text, refusal }) => textOf(text) ?? textOf(refusal) ?? "")
    .join("");
}

function objects(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function timeOf(value: unknown): string | undefined {
  const isTime = typeof value === "number" && Number.isSafeInteger(value) && value < 1e11;
  return isTime ? isoTime({ s: value }) : undefined;
}
