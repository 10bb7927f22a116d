/** Files that a person wants results in. @module */
import { UsageError } from "./exit_codes.ts";

/** What becomes of what a file holds already. */
export type OutputMode = "replace" | "append";

const encoder = new TextEncoder();

/**
 * A file for one result. It is opened before the work begins, so that no answer is paid for and then
 * lost to a path that cannot be written; what it held is replaced only once there is a result.
 */
export class OutputFile implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #mode: OutputMode;
  readonly #isNew: boolean;
  #isWritten = false;

  private constructor(path: string, file: Deno.FsFile, mode: OutputMode, isNew: boolean) {
    this.#path = path;
    this.#file = file;
    this.#mode = mode;
    this.#isNew = isNew;
  }

  /** Opens a file, or makes it. @throws {UsageError} if it cannot be written */
  static open(path: string, mode: OutputMode): OutputFile {
    try {
      const file = Deno.openSync(path, { write: true, createNew: true });
      return new OutputFile(path, file, mode, true);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw unwritable(path, error);
    }
    try {
      const file = Deno.openSync(path, { append: mode === "append", write: true });
      return new OutputFile(path, file, mode, false);
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  /** Writes the result; it is on disk when this returns. @throws {UsageError} if the disk refuses it */
  write(text: string): void {
    try {
      // A pipe or a device has nothing to be replaced, and cannot be synced.
      const { isFile } = this.#file.statSync();
      if (isFile && this.#mode === "replace") this.#file.truncateSync(0);
      writeAll(this.#file, text);
      if (isFile) this.#file.syncSync();
      this.#isWritten = true;
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }

  /** Closes it, and removes it again if it was made for nothing. */
  [Symbol.dispose](): void {
    this.#file.close();
    if (this.#isNew && !this.#isWritten) Deno.removeSync(this.#path);
  }
}

/** Writes all of a text, which one call of the system need not do. */
export function writeAll(file: Deno.FsFile, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/** What to say of a file that cannot be written, and what to do about it. */
export function unwritable(path: string, error: unknown): UsageError {
  const reason = error instanceof Deno.errors.NotCapable
    ? `not permitted: run it with Deno's --allow-write=${path} and --allow-read=${path}, ` +
      "name a file in the data directory, or send standard output there"
    : error instanceof Deno.errors.NotFound
    ? "no such directory"
    : error instanceof Error
    ? error.name
    : "unusable";
  return new UsageError(`write ${path}: ${reason}`, { cause: error });
}
