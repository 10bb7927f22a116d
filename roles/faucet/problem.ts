/** Why a request to the faucet is not done. @module */

/** What a caller can tell apart. */
export type ProblemCode =
  | "request_invalid" // not what this path takes
  | "not_found"
  | "method_not_allowed"
  | "media_type_unsupported"
  | "rate_limited" // too often from this address, or too often in all
  | "token_unknown" // never given out, or long ago
  | "token_expired"
  | "unavailable" // the chain or the disk, or the faucet is empty; later it may go
  | "internal";

const STATUS: Readonly<Record<ProblemCode, number>> = {
  request_invalid: 400,
  not_found: 404,
  method_not_allowed: 405,
  media_type_unsupported: 415,
  rate_limited: 429,
  token_unknown: 404,
  token_expired: 410,
  unavailable: 503,
  internal: 500,
};

/** A refusal, with words for its reader. */
export class Problem extends Error {
  /** The name of the class. */
  override readonly name = "Problem";
  /** Why. */
  readonly code: ProblemCode;
  /** Headers that go with it. */
  readonly headers: Readonly<Record<string, string>>;

  /** A refusal. @param message a whole sentence */
  constructor(
    code: ProblemCode,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.headers = options.headers ?? {};
  }

  /** The status of HTTP that says it. */
  get status(): number {
    return STATUS[this.code];
  }

  /** A refusal until some time has passed. */
  static later(code: ProblemCode, message: string, ms: number): Problem {
    return new Problem(code, message, {
      headers: { "retry-after": String(Math.max(1, Math.ceil(ms / 1000))) },
    });
  }
}
