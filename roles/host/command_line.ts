/** The command line that all roles share. @module */
import {
  Command,
  CommanderError,
  type CommandUnknownOpts,
  Option,
} from "@commander-js/extra-typings";
import { LloomError } from "@lloom/core/errors";
import { getLogger } from "@logtape/logtape";
import type { CommonConfig } from "./config/common_settings.ts";
import { loadConfig } from "./config/load_config.ts";
import { defaultOf, environmentNotes } from "./config/manual.ts";
import { type Fields, singleSettings } from "./config/resolve_config.ts";
import type { RoleSettings } from "./config/role_settings.ts";
import type { Setting } from "./config/setting.ts";
import manifest from "./deno.json" with { type: "json" };
import { EXIT, EXIT_NOTES, type ExitCode, exitCodeOf, UsageError } from "./exit_codes.ts";
import { exitCodeOfSignal, exitOnUncaughtErrors, InterruptedError } from "./lifecycle.ts";
import { startLogging } from "./logging.ts";
import { print, printable, printableJson, printError } from "./terminal.ts";

/** The version of all packages of this workspace. */
export const VERSION: string = manifest.version;

/** How results are printed. */
export type OutputFormat = "text" | "json";

/** What a command works with once its settings are read. */
export interface CommandContext<T extends CommonConfig> {
  /** The settings. */
  readonly config: T;
  /** The file that they were read from; absent where there is none. */
  readonly configPath?: string;
  /** What the user was told about them: one line each. */
  readonly warnings: readonly string[];
  /** How to print. */
  readonly format: OutputFormat;
  /** Whether this process carries Deno's flag that lets workers be restricted. */
  readonly sandboxWorkers: boolean;
  /** Whether to stop when standard input ends. */
  readonly stopWithStdin: boolean;
}

/** What a program has besides what all have. */
export interface ProgramOptions {
  /** What its own results may be printed as besides text and JSON; its errors are text then. @default none */
  readonly formats?: readonly string[];
}

/** What {@linkcode openCommand} needs of a commander command. */
export interface ParsedCommand {
  /** All flags, by commander's names. */
  optsWithGlobals(): object;
}

/**
 * A role's program: a flag for every setting that has one, `--config`, `--debug`, `--format`, and
 * notes on variables and exit codes in its help. Flags count before and after a subcommand.
 * @param summary one sentence, for `--help`
 */
export function createProgram<T extends CommonConfig>(
  settings: RoleSettings<T>,
  summary: string,
  { formats = [] }: ProgramOptions = {},
): Command {
  const program = new Command(`lloom-${settings.role}`);
  program.description(summary)
    .version(VERSION)
    .option("--config <file>", "configuration file (TOML)")
    .option("--debug", "log at level debug")
    .addOption(
      new Option("--format <format>", "how results and errors are printed")
        .choices(["text", "json", ...formats])
        .default("text"),
    )
    // Given by the permission manifests, next to the flag of Deno that it tells about.
    .addOption(new Option("--sandbox-workers").hideHelp())
    // Given by whoever starts a role as a part of itself, such as the demo.
    .addOption(new Option("--stop-with-stdin").hideHelp())
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", `${environmentNotes(settings)}\n${EXIT_NOTES}`);
  addSettingFlags(program, settings);
  return program;
}

/** A subcommand with the flags of those settings that it alone takes. @param summary one sentence */
export function createSubcommand<T extends CommonConfig>(
  name: string,
  settings: RoleSettings<T>,
  summary: string,
): Command {
  const command = new Command(name);
  command.description(summary).configureHelp({ showGlobalOptions: true });
  addSettingFlags(command, settings, name);
  return command;
}

/** @param owner the subcommand that alone takes the flags; absent for those that all commands take */
function addSettingFlags<T extends CommonConfig>(
  command: Command,
  settings: RoleSettings<T>,
  owner?: string,
): void {
  for (const [, node] of singleSettings(settings.table as Fields)) {
    const { flag } = node;
    if (flag === undefined || node.command !== owner) continue;
    // Commander's own lists, `<item...>`, would take a subcommand that follows for one more item.
    const option = new Option(flag.replace("...>", ">"), flagNotes(node));
    command.addOption(flag === option.flags ? option : option.argParser(collect));
  }
}

/**
 * What every command does first: read its settings, start the log, pass on warnings.
 * @throws {LloomError} `config_invalid`
 */
export function openCommand<T extends CommonConfig>(
  settings: RoleSettings<T>,
  command: ParsedCommand,
): CommandContext<T> {
  const flags = command.optsWithGlobals() as Readonly<Record<string, unknown>>;
  const { config, warnings, path } = loadConfig(settings, flags);
  startLogging(config.logging);
  const log = getLogger(["lloom", "config"]);
  for (const warning of warnings) log.warn("{warning}", { warning });
  return {
    config,
    ...(path !== undefined && { configPath: path }),
    warnings,
    format: flags["format"] === "json" ? "json" : "text",
    sandboxWorkers: flags["sandboxWorkers"] === true,
    stopWithStdin: flags["stopWithStdin"] === true,
  };
}

/**
 * Parses the arguments and runs what they ask for.
 * @returns the code to exit with. The caller must exit explicitly: after a dial, libp2p keeps timers
 * for some ten seconds.
 */
export async function runProgram(
  program: CommandUnknownOpts,
  args: readonly string[],
): Promise<ExitCode> {
  exitOnUncaughtErrors();
  const json = wantsJson(args);
  configureOutput(program, json);
  try {
    await program.parseAsync([...args], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      if (json) printFailure("usage", plainUsage(error.message), true);
      return EXIT.usage;
    }
    if (error instanceof UsageError) {
      printFailure("usage", error.message, json);
      return exitCodeOf(error);
    }
    const failure = LloomError.wrap(error);
    // A fault of ours is worth its stack; what the user can act on is worth one line.
    if (failure.code === "internal") {
      getLogger(["lloom", "process"]).error("command failed: {error}", { error });
    }
    printFailure(failure.code, failure.message, json);
    return error instanceof InterruptedError ? exitCodeOfSignal(error.signal) : exitCodeOf(failure);
  }
}

/** The first sentence of a description, as help texts are written. */
function summaryOf(doc: string): string {
  const [first = ""] = doc.replaceAll("`", "").split(/\.(?: |$)/);
  return /^[A-Z](?![A-Z])/.test(first) ? first[0]!.toLowerCase() + first.slice(1) : first;
}

/** What a flag's setting is for, which words it takes, and what it is otherwise. */
function flagNotes(node: Setting<unknown>): string {
  const otherwise = defaultOf(node).replaceAll("`", "");
  const notes = [
    ...(node.allowed.startsWith("one of ") ? [node.allowed] : []),
    ...(otherwise === "none" ? [] : [`default: ${otherwise}`]),
  ];
  return notes.length === 0 ? summaryOf(node.doc) : `${summaryOf(node.doc)} (${notes.join("; ")})`;
}

/** One more value of a flag that may be repeated. */
function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Commander hands its ways of printing and leaving to subcommands only when they are added. */
function configureOutput(command: CommandUnknownOpts, json: boolean): void {
  command.exitOverride().configureOutput({
    writeOut: print,
    // With JSON, the one object on standard error says it.
    writeErr: json ? () => {} : printError,
  });
  for (const sub of command.commands) configureOutput(sub, json);
}

/** Asked of the arguments, because a usage error comes before they are parsed. */
function wantsJson(args: readonly string[]): boolean {
  return args.some((arg, i) =>
    arg === "--format=json" || (arg === "--format" && args[i + 1] === "json")
  );
}

function plainUsage(message: string): string {
  return message.replace(/^error: /, "");
}

function printFailure(code: string, message: string, json: boolean): void {
  printError(
    // The message may be a peer's.
    json
      ? `${printableJson({ error: { code, message } })}\n`
      : `error: ${printable(message)} (${code})\n`,
  );
}
