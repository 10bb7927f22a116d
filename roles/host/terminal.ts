/** Writes to standard output and standard error, whole and in order. @module */

/** One of the two streams of a process. */
export interface Output {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

const encoder = new TextEncoder();

/**
 * Writes all of a text. A reader that went away (`lloom-client models | head -1`) is no fault of
 * the program: it ends there, quietly, as a process that ignores no SIGPIPE would.
 */
export function write(output: Output, text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += output.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    Deno.exit(141);
  }
}

/** Writes results: what another program may read. */
export function print(text: string): void {
  write(Deno.stdout, text);
}

/** Writes messages for the person at the terminal. */
export function printError(text: string): void {
  write(Deno.stderr, text);
}
