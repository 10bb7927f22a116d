/** One line on the terminal while something is under way. @module */
import { printError } from "@lloom/host";

/** Between two drawings of the line. */
const DRAW_MS = 100;
/** Narrow enough for any terminal, with the words beside it. */
const BAR_WIDTH = 24;

/**
 * Shows a line on standard error, if that is a terminal, until the function returned is called.
 * @param describe the line's text, asked for at every drawing
 */
export function showProgress(describe: () => string): () => void {
  if (!Deno.stderr.isTerminal()) return () => {};
  const startMs = performance.now();
  const draw = () => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    printError(`\r\x1b[2K${describe()} (${seconds} s)`);
  };
  draw();
  const timer = setInterval(draw, DRAW_MS);
  let shown = true;
  return () => {
    if (!shown) return;
    shown = false;
    clearInterval(timer);
    printError("\r\x1b[2K");
  };
}

/** How far something is: a bar, and the numbers. */
export function progressBar(done: number, total: number): string {
  const filled = total === 0 ? BAR_WIDTH : Math.floor((done * BAR_WIDTH) / total);
  return `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}] ${done} of ${total}`;
}
