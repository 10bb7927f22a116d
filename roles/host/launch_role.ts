/** Starts a role as a process of its own, with the permissions of its manifest. @module */
import { LloomError } from "@lloom/core/errors";
import { getLogger } from "@logtape/logtape";
import { fileURLToPath } from "node:url";
import { VERSION } from "./command_line.ts";
import type { RoleName } from "./config/common_settings.ts";
import { isReady, type ReadyInfo } from "./ready.ts";
import { manifestFlags, manifestOf } from "./manifest.ts";

const log = getLogger(["lloom", "launch"]);

/** How long a role may take to be ready, its first download of packages included, and to stop. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 15_000;
/** How much of a role's log is kept, to be shown if it does not start. */
const KEPT_LOG_CHARACTERS = 4_000;

/** Which role, and what it may reach. */
export interface LaunchOptions {
  /** Which role. */
  readonly role: RoleName;
  /** The only directory that it may write to. */
  readonly dataDir: string;
  /** The only hosts that it may reach or listen on, each with or without a port. */
  readonly hosts: readonly string[];
  /** Its command line. */
  readonly args: readonly string[];
  /** Gives up starting. */
  readonly signal: AbortSignal;
  /** Told of what it prints besides that it is ready: one JSON value a line. */
  readonly onPrinted?: (line: unknown) => void;
}

/** A role at work in its own process. */
export interface LaunchedRole {
  /** The number of its process. */
  readonly pid: number;
  /** Who it is, and where. */
  readonly ready: ReadyInfo;
  /** Resolves when its process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Stops it in order; after a while, without. */
  stop(): Promise<void>;
}

/**
 * Starts a role and waits until it is ready. It stops when this process ends, however that ends:
 * its standard input closes then.
 * @throws {LloomError} `internal` with the end of its log if it does not start
 */
export async function launchRole(options: LaunchOptions): Promise<LaunchedRole> {
  const { role, signal, onPrinted = () => {} } = options;
  if (Deno.build.standalone) {
    throw new LloomError("config_invalid", `start ${role}: a compiled program holds one role only`);
  }
  const process = new Deno.Command(Deno.execPath(), {
    args: commandLine(options),
    // Its settings are its arguments, not what this process was told in variables.
    env: Object.fromEntries(lloomVariables().map((name) => [name, ""])),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stop = () => stopProcess(process, role);
  const tail = keepTail(process.stderr, role);
  try {
    const timeout = AbortSignal.timeout(START_TIMEOUT_MS);
    const ready = await readReady(process.stdout, AbortSignal.any([signal, timeout]), onPrinted);
    if (ready !== undefined) {
      const ended = process.status.then(() => {});
      return { pid: process.pid, ready, ended, stop };
    }
    await process.status;
    throw new LloomError("internal", `start ${role}: it ended\n${(await tail).trim()}`);
  } catch (error) {
    await stop();
    signal.throwIfAborted();
    throw error;
  }
}

/** The results of what was begun at once; if something fails, the rest has come to its end, too. */
export async function startAll<const T extends readonly Promise<unknown>[]>(
  begun: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(begun);
  return await Promise.all(begun);
}

/** Makes an empty directory, for the time that `use` takes. */
export async function withTemporaryDirectory<T>(use: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempDir({ prefix: "lloom-" });
  try {
    return await use(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** Makes a directory with a role's `config.toml`. */
export async function writeConfig(directory: string, toml: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(`${directory}/config.toml`, toml, { mode: 0o600 });
}

function commandLine({ role, dataDir, hosts, args }: LaunchOptions): string[] {
  const manifest = manifestOf(role);
  const here = new URL(import.meta.url);
  const local = here.protocol === "file:";
  // The demo model is fetched from where its package is.
  const reachable = local ? hosts : [...hosts, here.host];
  const flags = manifestFlags(manifest, {
    code: local ? [fileURLToPath(new URL("../../", here))] : [],
    data: [dataDir],
    config: [],
    env: [],
  }).map((flag) => flag === "--allow-net" ? `--allow-net=${reachable.join(",")}` : flag);
  return [
    ...["run", "--quiet", ...flags],
    ...(local ? ["--config", fileURLToPath(new URL("../../deno.json", here))] : []),
    local ? fileURLToPath(new URL(`../${role}/main.ts`, here)) : `jsr:@lloom/${role}@${VERSION}`,
    ...manifest.arguments,
    ...["--stop-with-stdin", "--format", "json", "--data-dir", dataDir],
    ...args,
  ];
}

function lloomVariables(): string[] {
  return Object.keys(Deno.env.toObject()).filter((name) => name.startsWith("LLOOM_"));
}

async function stopProcess(process: Deno.ChildProcess, role: string): Promise<void> {
  const timer = setTimeout(() => {
    log.warn("{role} does not stop; ending it", { role });
    process.kill("SIGKILL");
  }, STOP_TIMEOUT_MS);
  try {
    await process.stdin.close();
  } catch (error) {
    log.debug("{role} had closed its input: {error}", { role, error });
  }
  await process.status;
  clearTimeout(timer);
}

/** The ready line; undefined if the output ends without one. */
async function readReady(
  stdout: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
  onPrinted: (line: unknown) => void,
): Promise<ReadyInfo | undefined> {
  const ready = Promise.withResolvers<ReadyInfo | undefined>();
  const onAbort = () => ready.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  // Read to its end: a role must not wait for its pipe.
  readLines(stdout, (text) => {
    const line: unknown = JSON.parse(text);
    if (isReady(line)) ready.resolve(line);
    else onPrinted(line);
  }).then(() => ready.resolve(undefined), ready.reject);
  try {
    return await ready.promise;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Reads a process's output to its end. A line that a killed process did not finish is none. */
export async function readLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: (line: string) => void,
): Promise<void> {
  let text = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      onLine(text.slice(0, end));
      text = text.slice(end + 1);
    }
  }
}

async function keepTail(stderr: ReadableStream<Uint8Array>, role: string): Promise<string> {
  let tail = "";
  for await (const text of stderr.pipeThrough(new TextDecoderStream())) {
    log.debug("{role}: {text}", { role, text: text.trimEnd() });
    tail = (tail + text).slice(-KEPT_LOG_CHARACTERS);
  }
  return tail;
}
