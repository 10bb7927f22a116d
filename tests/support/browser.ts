/** The machine's Chromium, for tests of pages. @module */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];

/** Where Chromium is: `$CHROMIUM`, or on the PATH; undefined if it is nowhere. */
export function findChromium(): string | undefined {
  const named = Deno.env.get("CHROMIUM");
  if (named !== undefined) return named;
  const folders = (Deno.env.get("PATH") ?? "").split(delimiter);
  return PROGRAMS.flatMap((program) => folders.map((folder) => join(folder, program)))
    .find((path) => existsSync(path));
}

/** Starts Chromium without a window. */
export function launchChromium(executablePath: string): Promise<Browser> {
  // Its own sandbox refuses to work for root, as whom tests run in containers.
  return chromium.launch({ executablePath, args: Deno.uid() === 0 ? ["--no-sandbox"] : [] });
}
