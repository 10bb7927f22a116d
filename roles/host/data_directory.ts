/** Whether a role can keep its data where it is told to. @module */
import { LloomError } from "@lloom/core/errors";
import { reasonOf } from "./denied.ts";

/**
 * Makes a data directory, where it is not there yet, and writes to it.
 * @throws {LloomError} `config_invalid` if that cannot be done
 */
export function probeDataDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    const file = Deno.makeTempFileSync({ dir: path, prefix: ".probe-" });
    Deno.removeSync(file);
  } catch (error) {
    throw new LloomError("config_invalid", `write to ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Whether a file is there. @throws {LloomError} `config_invalid` if that cannot be told */
export function isFileThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new LloomError("config_invalid", `read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}
