/** Runs Deno programs as child processes, and reads what they print. @module */

/** How long a text that a test waits for may take on a busy machine. */
const PATIENCE_MS = 45_000;

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
  /** Resolves once a text was printed, be it in the middle of a line. @throws if the output ends before */
  printed(text: string): Promise<void>;
  /** The first line of standard error, from its beginning, that matches. @throws if it ends without one */
  logged(pattern: RegExp): Promise<string>;
  /** Writes to standard input, which must be open. */
  write(text: string): Promise<void>;
  kill(signal: Deno.Signal): void;
  /** How it ended, once it has. */
  readonly ended: Promise<ChildResult>;
}

/** What a child is started with besides its arguments. */
export interface ChildOptions {
  /** Added to an environment that has nothing but what Deno itself needs. */
  readonly env?: Readonly<Record<string, string>>;
  /** Leaves standard input open for as long as this process lives. @default false */
  readonly openStdin?: boolean;
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
    stdin: options.openStdin === true ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = new LineReader(process.stdout);
  const errors = new LineReader(process.stderr);
  const input = options.openStdin === true ? process.stdin.getWriter() : undefined;
  return {
    pid: process.pid,
    line: (containing) => output.line(containing),
    printed: (text) => output.printed(text),
    logged: (pattern) => errors.find(pattern),
    async write(text) {
      if (input === undefined) throw new TypeError("write to child: its standard input is closed");
      await input.write(new TextEncoder().encode(text));
    },
    kill: (signal) => process.kill(signal),
    ended: (async () => {
      const [status, stdout, stderr] = await Promise.all([process.status, output.all, errors.all]);
      if (input !== undefined) await closeInput(input);
      return { code: status.code, signal: status.signal, stdout, stderr };
    })(),
  };
}

/** Runs a Deno program to its end. */
export function runDeno(args: readonly string[], options: ChildOptions = {}): Promise<ChildResult> {
  return startDeno(args, options).ended;
}

/** Lets go of the pipe to a process that has ended, which may have closed it. */
async function closeInput(input: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  try {
    await input.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
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
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      for (let end; (end = this.#text.indexOf("\n", this.#from)) >= 0;) {
        const line = this.#text.slice(this.#from, end);
        this.#from = end + 1;
        if (line.includes(containing)) return line;
      }
      if (this.#over) throw new Error(`read child: ended without a line with "${containing}"`);
      await this.#more(deadline);
    }
  }

  async printed(text: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!this.#text.includes(text)) {
      if (this.#over) throw new Error(`read child: ended without "${text}"`);
      await this.#more(deadline);
    }
  }

  async find(pattern: RegExp): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    for (let from = 0;;) {
      for (let end; (end = this.#text.indexOf("\n", from)) >= 0;) {
        const line = this.#text.slice(from, end);
        from = end + 1;
        if (pattern.test(line)) return line;
      }
      if (this.#over) throw new Error(`read child: ended without a line like ${pattern}`);
      await this.#more(deadline);
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

  /** Waits for more output. A test that would hang shows instead what there was. */
  async #more(deadline: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      late.reject(new Error(`read child: not printed in time; the end of it was\n${this.#tail}`));
    }, deadline - Date.now());
    try {
      await Promise.race([this.#progress.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  get #tail(): string {
    return this.#text.slice(-4000);
  }

  #advance(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }
}
