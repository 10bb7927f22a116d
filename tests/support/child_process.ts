/** Runs Deno programs as child processes, and reads what they print. @module */

/** How a child process ended. */
export interface ChildResult {
  readonly code: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running child process. */
export interface Child {
  readonly pid: number;
  /** The next line of standard output that contains a text. @throws if the output ends before */
  line(containing: string): Promise<string>;
  kill(signal: Deno.Signal): void;
  /** How it ended, once it has. */
  readonly ended: Promise<ChildResult>;
}

/** What a child is started with besides its arguments. */
export interface ChildOptions {
  /** Added to an environment that has nothing but what Deno itself needs. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts `deno run` with flags, a program and its arguments. */
export function startDeno(args: readonly string[], options: ChildOptions = {}): Child {
  const inherited = ["DENO_DIR", "HOME", "XDG_CACHE_HOME", "PATH", "TMPDIR"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  });
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", ...args],
    clearEnv: true,
    env: { NO_COLOR: "1", ...Object.fromEntries(inherited), ...options.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = new LineReader(process.stdout);
  const stderr = new Response(process.stderr).text();
  return {
    pid: process.pid,
    line: (containing) => output.line(containing),
    kill: (signal) => process.kill(signal),
    ended: (async () => {
      const [status, stdout, errors] = await Promise.all([process.status, output.all, stderr]);
      return { code: status.code, signal: status.signal, stdout, stderr: errors };
    })(),
  };
}

/** Runs a Deno program to its end. */
export function runDeno(args: readonly string[], options: ChildOptions = {}): Promise<ChildResult> {
  return startDeno(args, options).ended;
}

class LineReader {
  readonly all: Promise<string>;
  #text = "";
  #from = 0;
  #over = false;
  #progress = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.all = this.#read(stream);
  }

  async line(containing: string): Promise<string> {
    for (;;) {
      for (let end; (end = this.#text.indexOf("\n", this.#from)) >= 0;) {
        const line = this.#text.slice(this.#from, end);
        this.#from = end + 1;
        if (line.includes(containing)) return line;
      }
      if (this.#over) throw new Error(`read child: ended without a line with "${containing}"`);
      await this.#progress.promise;
    }
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      this.#text += part;
      this.#advance();
    }
    this.#over = true;
    this.#advance();
    return this.#text;
  }

  #advance(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }
}
