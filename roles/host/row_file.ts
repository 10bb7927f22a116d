/** Files that grow line by line, and are gone on with after a crash. @module */
import { concat } from "@lloom/core/bytes";
import { UsageError } from "./exit_codes.ts";
import { unwritable, writeAll } from "./output_file.ts";

const NEWLINE = 10;
/** Read at once. */
const CHUNK_BYTES = 1 << 20;

/**
 * A file of lines. Each line that {@linkcode RowFile.append} has returned for is on disk, whatever
 * happens next; of one that was being written, a part may be there, which is dropped when lines are
 * added the next time.
 */
export class RowFile implements Disposable {
  /** What stands after the last whole line: a line that was cut, if it is one. */
  readonly cut: string;
  readonly #path: string;
  readonly #file: Deno.FsFile;
  #end: number;

  private constructor(path: string, file: Deno.FsFile, end: number, cut: string) {
    this.#path = path;
    this.#file = file;
    this.#end = end;
    this.cut = cut;
  }

  /**
   * Opens a file, or makes it, and reads what is there; nothing in it is changed yet.
   * @param onLine told of every whole line, from the first
   * @param maxLineBytes a longer line is none of ours
   * @throws {UsageError} if it cannot be read and written, or another process writes it; what `onLine` throws
   */
  static open(path: string, onLine: (line: string) => void, maxLineBytes: number): RowFile {
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(path, { read: true, write: true, create: true });
    } catch (error) {
      throw unwritable(path, error);
    }
    try {
      if (!file.statSync().isFile) throw new UsageError(`write ${path}: it is no file`);
      if (!file.tryLockSync(true)) {
        throw new UsageError(`write ${path}: another process is writing it`);
      }
      const { end, rest } = readLines(file, onLine, maxLineBytes, path);
      return new RowFile(path, file, end, new TextDecoder().decode(rest));
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Adds lines; they are on disk when this returns. @throws {UsageError} if the disk refuses them */
  append(lines: readonly string[]): void {
    const text = lines.map((line) => `${line}\n`).join("");
    try {
      // Also after a failure of before: what it left is no line.
      this.#file.truncateSync(this.#end);
      this.#file.seekSync(this.#end, Deno.SeekMode.Start);
      writeAll(this.#file, text);
      this.#file.syncDataSync();
    } catch (error) {
      throw unwritable(this.#path, error);
    }
    this.#end = this.#file.seekSync(0, Deno.SeekMode.Current);
  }

  /** Lets go of it. */
  [Symbol.dispose](): void {
    // Said, for a child that is just being started holds a copy of the open file for a moment.
    this.#file.unlockSync();
    this.#file.close();
  }
}

/** Reads all whole lines. @returns where the last of them ends, and what follows it */
function readLines(
  file: Deno.FsFile,
  onLine: (line: string) => void,
  maxLineBytes: number,
  path: string,
): { readonly end: number; readonly rest: Uint8Array } {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK_BYTES);
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let end = 0;
  for (let read; (read = file.readSync(chunk)) !== null;) {
    let from = 0;
    for (let at; (at = chunk.subarray(0, read).indexOf(NEWLINE, from)) >= 0; from = at + 1) {
      const line = concat([...held, chunk.subarray(from, at)]);
      end += line.length + 1;
      held = [];
      heldBytes = 0;
      onLine(decoder.decode(line));
    }
    held.push(chunk.slice(from, read));
    heldBytes += read - from;
    if (heldBytes > maxLineBytes) {
      throw new UsageError(`read ${path}: a line of it is longer than ${maxLineBytes} bytes`);
    }
  }
  return { end, rest: concat(held) };
}
