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
import { reasonOf } from "./denied.ts";
import { redact } from "./redact.ts";
import { type Output, printable, write } from "./terminal.ts";

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
  return (colours ? getAnsiColorFormatter : getTextFormatter)({ value: inOneLine });
}

/** A value in a log record: whatever a peer put into it, the record stays one line of plain text. */
function inOneLine(value: unknown): string {
  const text = typeof value === "string"
    ? value
    : value instanceof Error
    ? value.stack ?? value.message
    : Deno.inspect(value, { breakLength: Infinity, compact: true });
  return value instanceof Error ? printable(text) : printable(text).replaceAll("\n", " ");
}

/** Opened for appending, so that log rotation by copying and truncating works. */
function openLogFile(path: string): Deno.FsFile {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return Deno.openSync(path, { append: true, create: true, mode: 0o600 });
  } catch (error) {
    throw new LloomError("config_invalid", `open log file ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
