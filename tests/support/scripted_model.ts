/** A language model whose every word the test decides. @module */
import { concat, toHex } from "@lloom/core/bytes";
import type { ErrorCode, ErrorData } from "@lloom/core/errors";
import type { Inference, InferenceJob, InferenceRun, InferenceSink } from "@lloom/core/ports";
import { encodeTrailer } from "@lloom/core/protocol";
import { keccak_256 } from "@noble/hashes/sha3";

/** A model whose every token the test decides. */
export class ScriptedModel implements Inference {
  readonly runs: ScriptedRun[] = [];
  #started = Promise.withResolvers<ScriptedRun>();

  run(job: InferenceJob, sink: InferenceSink): InferenceRun {
    const run = new ScriptedRun(job, sink);
    this.runs.push(run);
    this.#started.resolve(run);
    this.#started = Promise.withResolvers();
    return run;
  }

  get nextRun(): Promise<ScriptedRun> {
    return this.#started.promise;
  }
}

/** One answer of it. */
export class ScriptedRun implements InferenceRun {
  readonly #sink: InferenceSink;
  readonly #sent: Uint8Array[] = [];
  readonly cancelled: Promise<ErrorData>;
  readonly #cancel: (reason: ErrorData) => void;
  paused = false;

  constructor(readonly job: InferenceJob, sink: InferenceSink) {
    this.#sink = sink;
    const { promise, resolve } = Promise.withResolvers<ErrorData>();
    this.cancelled = promise;
    this.#cancel = resolve;
  }

  /** Says one line. @param tokens how many are in it */
  say(line: string, tokens = 1): void {
    const lines = new TextEncoder().encode(line + "\n");
    this.#sent.push(lines);
    this.#sink.batch(lines, tokens);
  }

  /** Says so much text, of as many tokens as bytes. */
  write(bytes: number): void {
    this.say(JSON.stringify({ choices: [{ delta: { content: "a".repeat(bytes) } }] }), bytes);
  }

  /** Ends, by default with a token a line. */
  end(error?: ErrorData, completionTokens: number = this.#sent.length): void {
    const trailer = encodeTrailer({
      finish: error ? (error.code === "aborted" ? "cancelled" : "error") : "stop",
      promptTokens: 5,
      completionTokens,
      countedBy: "backend",
      ...(error && { error }),
    });
    this.#sink.end({
      trailer,
      contentHash: toHex(keccak_256(concat([...this.#sent, trailer]))),
      promptTokens: 5,
      completionTokens,
      success: error === undefined,
    });
  }

  fail(code: ErrorCode): void {
    this.#sink.fail({ code, message: "run: failed" });
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  cancel(reason: ErrorData): void {
    this.#cancel(reason);
  }
}
