/** Starting and stopping a process in order. @module */
import { LloomError } from "@lloom/core/errors";
import { getLogger } from "@logtape/logtape";
import { EXIT, type ExitCode } from "./exit_codes.ts";

const log = getLogger(["lloom", "process"]);

/** How long an orderly stop may take; after that, what still runs is cut. */
const GRACE_MS = 10_000;

/** The signals that ask a process to stop. Windows knows Ctrl-C and Ctrl-Break only. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

/** How to stop. */
export interface SignalOptions {
  /** How long an orderly stop may take, in milliseconds. @default 10000 */
  readonly graceMs?: number;
  /** Takes the end of standard input for a signal: whoever started this process is gone. @default false */
  readonly stopWithStdin?: boolean;
  /** Told of SIGINT; where it returns true, it has seen to it, and the signal stops nothing. */
  readonly onInterrupt?: () => boolean;
}

/** A command that a signal ended before it was done. */
export class InterruptedError extends LloomError {
  /** Which signal. */
  readonly signal: Deno.Signal;

  /** The end of what a signal has stopped. */
  constructor(signal: Deno.Signal) {
    super("aborted", `run command: stopped by ${signal}`);
    this.signal = signal;
  }
}

/** The exit code for a process that a signal ended, as shells count them. */
export function exitCodeOfSignal(signal: Deno.Signal): ExitCode {
  return signal === "SIGTERM" ? EXIT.terminated : EXIT.interrupted;
}

/**
 * Runs a command that a signal may interrupt. The first signal aborts `run`, which then has the
 * grace period to end; the second one ends the process at once.
 * @param run its result counts if it ends well, even after a signal
 * @throws {InterruptedError} if it fails after a signal
 */
export async function runInterruptibly<T>(
  run: (signal: AbortSignal) => Promise<T>,
  options: SignalOptions = {},
): Promise<T> {
  const abort = new AbortController();
  const release = onStopSignal(options, (signal) => abort.abort(new InterruptedError(signal)));
  try {
    return await run(abort.signal);
  } catch (error) {
    if (abort.signal.aborted) throw abort.signal.reason;
    throw error;
  } finally {
    release();
  }
}

/**
 * Runs a service until a signal asks it to stop, then stops it in order. Being asked to stop is how
 * a service ends well: it returns, and the process exits with 0.
 * @param start gives up when its signal aborts
 * @param stop must end within the grace period, or the process ends without it
 */
export async function runUntilSignal<T>(
  start: (signal: AbortSignal) => Promise<T>,
  stop: (service: T) => Promise<void>,
  options: SignalOptions = {},
): Promise<void> {
  const abort = new AbortController();
  const asked = Promise.withResolvers<void>();
  const release = onStopSignal(options, (signal) => {
    log.info("stopping on {signal}", { signal });
    abort.abort(new InterruptedError(signal));
    asked.resolve();
  });
  try {
    const service = await start(abort.signal);
    await asked.promise;
    await stop(service);
    log.info("stopped");
  } catch (error) {
    const givenUp = abort.signal.aborted && error === abort.signal.reason;
    if (!givenUp) throw error;
  } finally {
    release();
  }
}

function onStopSignal(options: SignalOptions, first: (signal: Deno.Signal) => void): () => void {
  const graceMs = options.graceMs ?? GRACE_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (signal: Deno.Signal) => {
    timer = setTimeout(() => {
      log.error("stop: not done after {graceMs} ms, exiting", { graceMs });
      Deno.exit(exitCodeOfSignal(signal));
    }, graceMs);
    first(signal);
  };
  if (options.stopWithStdin) {
    void stdinEnded().then(() => {
      if (timer === undefined) stop("SIGTERM");
    });
  }
  const listeners = STOP_SIGNALS.map((signal) => {
    const listener = () => {
      if (signal === "SIGINT" && options.onInterrupt?.() === true) return;
      if (timer !== undefined) Deno.exit(exitCodeOfSignal(signal));
      stop(signal);
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  return () => {
    clearTimeout(timer);
    for (const remove of listeners) remove();
  };
}

/** Resolves when standard input ends, or breaks. */
async function stdinEnded(): Promise<void> {
  const buffer = new Uint8Array(1024);
  try {
    while (await Deno.stdin.read(buffer) !== null);
  } catch (error) {
    log.debug("standard input broke: {error}", { error });
  }
}

/**
 * Ends the process with code 1 on an error that nobody caught, having logged it: a node in an
 * unknown state must not go on signing.
 */
export function exitOnUncaughtErrors(): void {
  const fail = (error: unknown) => {
    const { code } = LloomError.wrap(error);
    log.fatal("uncaught error, code {code}: {error}", { code, error });
    Deno.exit(EXIT.unexpected);
  };
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
}
