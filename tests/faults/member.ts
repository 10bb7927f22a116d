/** A process that may be killed at any time, and none else. @module */
import { readLines } from "@lloom/host/launch";

/** The end of its log that is kept. */
const LOG_CHARS = 2_000;

interface Running {
  readonly process: Deno.ChildProcess;
  readonly ended: Promise<void>;
  /** Whether its end is asked for. */
  expected: boolean;
}

/** See the module. */
export abstract class Member {
  readonly #failed = Promise.withResolvers<never>();
  #running: Running | undefined;
  #log = "";

  constructor() {
    // Somebody looks at it only while there is traffic.
    this.#failed.promise.catch(() => {});
  }

  /** Rejects if its process ends and nobody asked for that. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** The end of what its processes logged. */
  get log(): string {
    return this.#log;
  }

  /** Starts its process. */
  abstract start(): void;

  /** Ends its process with SIGKILL, be it that it has only begun to start. */
  async kill(): Promise<void> {
    await this.#end(({ process }) => process.kill("SIGKILL"));
  }

  /** Asks its process to end, and waits for that. */
  protected async endWith(ask: (process: Deno.ChildProcess) => unknown): Promise<void> {
    const status = this.#running?.process.status;
    await this.#end(({ process }) => ask(process));
    const { code } = await status!;
    if (code !== 0) throw new Error(`stop process: exit code ${code}\n${this.log}`);
  }

  /** Runs Deno. @param onLine told each whole line of its standard output */
  protected run(args: readonly string[], onLine: (line: string) => void): void {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", ...args],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const running: Running = {
      process,
      expected: false,
      ended: Promise.all([
        process.status,
        readLines(process.stdout, onLine),
        readLines(process.stderr, (line) => this.note(line)),
      ]).then(([{ code, signal }]) => {
        if (running.expected) return;
        const how = `process ended unbidden: ${signal ?? code}`;
        this.#failed.reject(new Error(`${how}\n${this.log}`));
      }),
    };
    this.#running = running;
  }

  async #end(ask: (running: Running) => unknown): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    running.expected = true;
    await ask(running);
    await running.ended;
  }

  /** Keeps a line for who looks for what went wrong. */
  protected note(line: string): void {
    this.#log = `${this.#log}${line}\n`.slice(-LOG_CHARS);
  }
}
