/** Where log records go, and in which form. @module */
import { LloomError } from "@lloom/core/errors";
import {
  configureSync,
  getAnsiColorFormatter,
  getJsonLinesFormatter,
  getTextFormatter,
  type LogRecord,
  type TextFormatter,
} from "@logtape/logtape";
import { dirname } from "node:path";
import type { LoggingConfig } from "./config/common_settings.ts";
import { redact } from "./redact.ts";
import { type Output, write } from "./terminal.ts";

/**
 * Sends the records of all `["lloom", area]` loggers to standard error or to a file, each line
 * written at once and whole, so that an exit loses none. Called again, it replaces the former way.
 * @throws {LloomError} `config_invalid` if the log file cannot be opened
 */
export function startLogging(config: LoggingConfig): void {
  const output = config.file === undefined ? Deno.stderr : openLogFile(config.file);
  const format = formatter(config.format, output);
  const sink = (record: LogRecord): void => write(output, redact(format(record)));
  configureSync({
    reset: true,
    sinks: { output: sink },
    loggers: [
      { category: ["lloom"], sinks: ["output"], lowestLevel: config.level },
      // Without a logger of its own, LogTape's reports about itself begin with a banner.
      { category: ["logtape", "meta"], sinks: ["output"], lowestLevel: "warning" },
    ],
  });
}

/** Colours are for terminals, unless the user asks for none (https://no-color.org). */
function formatter(format: LoggingConfig["format"], output: Output): TextFormatter {
  if (format === "json") return getJsonLinesFormatter();
  const colours = output.isTerminal() && !Deno.noColor;
  return colours ? getAnsiColorFormatter() : getTextFormatter();
}

/** Opened for appending, so that log rotation by copying and truncating works. */
function openLogFile(path: string): Deno.FsFile {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return Deno.openSync(path, { append: true, create: true, mode: 0o600 });
  } catch (error) {
    const reason = error instanceof Deno.errors.NotCapable
      ? `not permitted; run with --allow-read=${path} --allow-write=${path}`
      : error instanceof Error
      ? error.name
      : "cannot be written";
    throw new LloomError("config_invalid", `open log file ${path}: ${reason}`, { cause: error });
  }
}
