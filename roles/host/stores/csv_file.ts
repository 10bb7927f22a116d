/** Appends rows to a CSV file that people open with a spreadsheet. @module */
import { LloomError } from "@lloom/core/errors";
import { dirname } from "node:path";

/** A CSV file with a first line of names. */
export interface CsvFileOptions {
  /** The file. */
  readonly path: string;
  /** The names of the columns. */
  readonly columns: readonly string[];
  /** The size beyond which nothing is added. */
  readonly maxBytes: number;
}

/**
 * Appends one row; it is on disk when this returns.
 * @throws {LloomError} `overloaded` if the file is full, `internal` if it cannot be written
 */
export function appendCsvRow(options: CsvFileOptions, cells: readonly string[]): void {
  const { path, columns, maxBytes } = options;
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    using file = Deno.openSync(path, { append: true, create: true, mode: 0o600 });
    const { size } = file.statSync();
    const text = (size === 0 ? line(columns) : "") + line(cells);
    const bytes = new TextEncoder().encode(text);
    if (size + bytes.length > maxBytes) {
      throw new LloomError("overloaded", "append row: the file is full");
    }
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync();
  } catch (error) {
    throw LloomError.wrap(error, "internal", "append row");
  }
}

function line(cells: readonly string[]): string {
  return `${cells.map(cell).join(",")}\r\n`;
}

/** Spreadsheets take a cell for a formula by its first character; after an apostrophe it is text. */
function cell(text: string): string {
  const plain = text.replaceAll(/\p{Cc}+/gu, " ");
  const harmless = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/u.test(plain) ? `'${plain}` : plain;
  return `"${harmless.replaceAll('"', '""')}"`;
}
