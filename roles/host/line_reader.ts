/** Reads what a person types, or another program writes, line by line. @module */
import process from "node:process";
import { createInterface } from "node:readline";

/** Lines of standard input, to be iterated once; the iteration ends with the input, or when closed. */
export interface LineReader extends AsyncIterable<string> {
  /** Whether a person types at a terminal, with a prompt, editing, and the lines before to go back to. */
  readonly isTerminal: boolean;
  /** Ends it. */
  close(): void;
}

/** How lines are read. */
export interface LineReaderOptions {
  /** Stands before the line that a person types. */
  readonly prompt: string;
  /** Told of Ctrl-C at a terminal, which is no signal while lines are edited. */
  readonly onInterrupt: () => void;
}

/** Reads lines from standard input. Prompts go to standard error, so that results can be redirected. */
export function readLines({ prompt, onInterrupt }: LineReaderOptions): LineReader {
  const isTerminal = Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
  const reader = createInterface({
    input: process.stdin,
    output: process.stderr,
    terminal: isTerminal,
    prompt,
  });
  const lines: string[] = [];
  let isOver = false;
  let isAsked = false;
  let wake = () => {};
  reader.on("line", (line) => {
    lines.push(line);
    // One line is worked on at a time. A terminal goes on being read, for Ctrl-C.
    if (!isTerminal) reader.pause();
    wake();
  });
  reader.on("close", () => {
    isOver = true;
    wake();
  });
  reader.on("SIGINT", () => {
    onInterrupt();
    if (isOver || !isAsked) return;
    // As in a shell: what was typed is discarded.
    reader.write(null, { ctrl: true, name: "e" });
    reader.write(null, { ctrl: true, name: "u" });
    reader.prompt();
  });
  return {
    isTerminal,
    close: () => reader.close(),
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const line = lines.shift();
        if (line !== undefined) {
          yield line;
        } else if (isOver) {
          return;
        } else {
          const next = new Promise<void>((resolve) => wake = resolve);
          if (isTerminal) reader.prompt(true);
          else reader.resume();
          isAsked = isTerminal;
          await next;
          isAsked = false;
        }
      }
    },
  };
}
