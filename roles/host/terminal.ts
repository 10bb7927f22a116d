/** Writes to standard output and standard error, whole and in order. @module */

/** One of the two streams of a process. */
export interface Output {
  /** Writes some of the bytes; how many. */
  writeSync(bytes: Uint8Array): number;
  /** Whether a person sees it. */
  isTerminal(): boolean;
}

const encoder = new TextEncoder();

/**
 * Writes all of a text. A reader that went away (`lloom-client --discover-models | head -1`) is no fault of
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

/** What steers a terminal or turns the order of text around: all but line feeds and tabs. */
const STEERING = /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** A stranger's text, safe to be shown on a terminal. */
export function printable(text: string): string {
  return text.replace(STEERING, "\u{fffd}");
}

/** A value as JSON that is safe to be shown on a terminal, amounts as decimal text. */
export function printableJson(value: unknown): string {
  const text = JSON.stringify(value, (_, item) => typeof item === "bigint" ? `${item}` : item);
  return text.replace(
    STEERING,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
