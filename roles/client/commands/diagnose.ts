/** `diagnose`: looks at everything that a client needs, and says how to mend it. @module */
import { Command } from "@commander-js/extra-typings";
import { LloomError } from "@lloom/core/errors";
import {
  openCommand,
  type ParsedCommand,
  print,
  printable,
  printableJson,
  runInterruptibly,
} from "@lloom/host";
import { CLIENT_SETTINGS } from "@lloom/host/config";
import { type CheckResult, type CheckState, STATES } from "../diagnose/check.ts";
import { showProgress } from "../progress.ts";

/** `diagnose` */
export function diagnoseCommand(): Command {
  return new Command("diagnose")
    .description("check settings, key, network, clock, chain and gateway; say how to mend them")
    .action((_options, command) => runInterruptibly((signal) => run(command, signal)));
}

/** @throws {LloomError} with the code of what failed first: the exit code tells its area */
async function run(command: ParsedCommand, signal: AbortSignal): Promise<void> {
  const context = openCommand(CLIENT_SETTINGS, command);
  const hide = showProgress(() => "looking");
  let results: readonly CheckResult[];
  try {
    const { diagnose } = await import("../diagnose/diagnose.ts");
    results = await diagnose(context, signal);
  } finally {
    hide();
  }
  const failures = results.filter(({ state }) => state === "failed");
  if (context.format === "json") {
    print(`${printableJson({ ok: failures.length === 0, checks: results })}\n`);
  } else {
    printResults(results);
  }
  const [first] = failures;
  if (first === undefined) return;
  const names = [...new Set(failures.map(({ name }) => name))].join(", ");
  throw new LloomError(first.code ?? "internal", `diagnose: not in order: ${names}`);
}

function printResults(results: readonly CheckResult[]): void {
  const width = Math.max(...results.map(({ name }) => name.length));
  const indent = " ".repeat(STATE_WIDTH + width + 4);
  for (const { name, state, finding, remedy } of results) {
    const words = `${state.padEnd(STATE_WIDTH)}  ${name.padEnd(width)}  ${finding}\n`;
    print(printable(remedy === undefined ? words : `${words}${indent}to mend it: ${remedy}\n`));
  }
  const count = (state: CheckState) => results.filter((one) => one.state === state).length;
  print(`\n${STATES.map((state) => `${count(state)} ${state}`).join(", ")}\n`);
}

const STATE_WIDTH = Math.max(...STATES.map((state) => state.length));
