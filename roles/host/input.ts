/** Reads a file that a person names, or standard input. @module */
import { reasonOf } from "./denied.ts";
import { UsageError } from "./exit_codes.ts";

/**
 * All bytes of a file, or of standard input for `-`.
 * @throws {UsageError} if it cannot be read, or is larger than `maxBytes`
 */
export async function readInput(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    if (path === "-") return await readAll(Deno.stdin.readable, maxBytes);
    using file = await Deno.open(path);
    return await readAll(file.readable, maxBytes);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const reason = error instanceof Deno.errors.NotFound
      ? "no such file"
      : error instanceof Deno.errors.NotCapable
      ? "not permitted: a role reads its own directories alone; hand the file over as - < FILE"
      : reasonOf(error);
    throw new UsageError(`read ${path}: ${reason}`, { cause: error });
  }
}

/**
 * The text of a file, or of standard input for `-`.
 * @throws {UsageError} as {@linkcode readInput}, or if it is not UTF-8
 */
export async function readTextInput(path: string, maxBytes: number): Promise<string> {
  const bytes = await readInput(path, maxBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const what = path === "-" ? "standard input" : path;
    throw new UsageError(`read ${what}: it is not UTF-8`, { cause });
  }
}

async function readAll(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  maxBytes: number,
): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > maxBytes) {
      throw new UsageError(`read input: it is larger than ${maxBytes} bytes`);
    }
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
