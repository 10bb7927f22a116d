/** What a batch was answered: rows of JSON in the batch's order, perhaps over several runs. @module */
import { type ErrorCode, isErrorCode, LloomError } from "@lloom/core/errors";
import {
  isJsonObject,
  type JsonObject,
  MAX_RESPONSE_BYTES,
  parseJsonText,
} from "@lloom/core/protocol";
import { print, printableJson, RowFile, UsageError } from "@lloom/host";
import type { BatchRow } from "./batch_input.ts";

/** One answered row. The form of `response` and `error` is that of OpenAI's batches. */
export interface OutputRow {
  /** The row of the batch, from 0. */
  readonly index: number;
  /** The name that the row's author gave it. */
  readonly custom_id?: string;
  /** The answer; null if there is none. */
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: JsonObject;
  } | null;
  /** Why there is no answer; null if there is one. */
  readonly error: { readonly code: ErrorCode; readonly message: string } | null;
  /** The digest of the row; and of an answer where it came from and what it cost, as the gateway says it. */
  readonly lloom: JsonObject & { readonly row: string };
}

/** How the rows of a batch ended so far. */
export class Tally {
  /** Rows with an answer. */
  answered = 0;
  /** Rows without one. */
  failed = 0;
  #first: { readonly index: number; readonly code: ErrorCode } | undefined;

  /** Counts one row. */
  add(index: number, code: ErrorCode | undefined): void {
    if (code === undefined) {
      this.answered++;
      return;
    }
    this.failed++;
    if (this.#first === undefined || index < this.#first.index) this.#first = { index, code };
  }

  /** That some rows failed, with the code of the first; undefined if none did. */
  get failure(): LloomError | undefined {
    if (this.#first === undefined) return undefined;
    const { index, code } = this.#first;
    const of = this.answered + this.failed;
    return new LloomError(
      code,
      `ask batch: ${this.failed} of ${of} rows failed, first row ${index}`,
    );
  }
}

/** Rows on standard output, or in a file in which those of earlier runs count. */
export class BatchOutput implements Disposable {
  /** How the rows ended, those of earlier runs included. */
  readonly tally = new Tally();
  readonly #file: RowFile | undefined;
  readonly #done = new Set<number>();

  /**
   * Opens where the rows go.
   * @param path a file; undefined for standard output
   * @throws {UsageError} if the file cannot be written, or holds something else than answers to these rows
   */
  constructor(path: string | undefined, rows: readonly BatchRow[]) {
    if (path === undefined) return;
    let number = 0;
    const onLine = (line: string) => this.#accept(line, rows, `${path}, line ${++number}`);
    this.#file = RowFile.open(path, onLine, MAX_RESPONSE_BYTES);
    const { cut } = this.#file;
    if (cut !== "" && !cut.startsWith(ROW_START) && !ROW_START.startsWith(cut)) {
      this.#file[Symbol.dispose]();
      throw notOurs(path);
    }
  }

  /** Whether an earlier run had a row's answer, or the failure to get one. */
  has({ index }: BatchRow): boolean {
    return this.#done.has(index);
  }

  /** Adds a row; in a file it is on disk when this returns. */
  add(row: OutputRow): void {
    if (this.#file === undefined) print(`${printableJson(row)}\n`);
    else this.#file.append([JSON.stringify(row)]);
    this.tally.add(row.index, row.error?.code);
  }

  /** Lets go of the file. */
  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }

  #accept(line: string, rows: readonly BatchRow[], place: string): void {
    const value = line.startsWith(ROW_START) ? parse(line, place) : undefined;
    if (!isJsonObject(value) || !isJsonObject(value.lloom)) throw notOurs(place);
    const { index, error, lloom } = value;
    const row = typeof index === "number" ? rows[index] : undefined;
    if (row === undefined || row.digest !== lloom.row) {
      throw new UsageError(`read ${place}: it answers another batch; name another --output`);
    }
    if (this.#done.has(row.index)) return;
    this.#done.add(row.index);
    const code = isJsonObject(error) && typeof error.code === "string" ? error.code : undefined;
    this.tally.add(row.index, code === undefined || isErrorCode(code) ? code : "internal");
  }
}

/** How {@linkcode OutputRow} begins as JSON: what begins otherwise is no file of ours to cut. */
const ROW_START = '{"index":';

function parse(line: string, place: string): unknown {
  try {
    return parseJsonText(line);
  } catch (error) {
    if (!(error instanceof LloomError)) throw error;
    throw notOurs(place);
  }
}

function notOurs(place: string): UsageError {
  return new UsageError(`read ${place}: no answers of a batch; name another --output`);
}
