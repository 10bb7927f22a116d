/** What a look at one thing found, and how to mend it. @module */
import { type ErrorCode, LloomError } from "@lloom/core/errors";

/** How it may stand with a thing: `skipped` where there was nothing to look at. */
export const STATES = ["ok", "warning", "failed", "skipped"] as const;

/** One of {@linkcode STATES}. */
export type CheckState = (typeof STATES)[number];

/** What one look found. */
export interface Outcome {
  /** How it stands. */
  readonly state: CheckState;
  /** What was found, in a line. */
  readonly finding: string;
  /** What to do about it; absent where nothing is to be done, or the finding says it. */
  readonly remedy?: string;
  /** What a command that needs the thing fails with; there if and only if the state is `failed`. */
  readonly code?: ErrorCode;
}

/** A look at one thing, by name. */
export interface CheckResult extends Outcome {
  /** What was looked at. */
  readonly name: string;
}

/** All is well. */
export function ok(finding: string): Outcome {
  return { state: "ok", finding };
}

/** Something works, but not as it should. */
export function warning(finding: string, remedy: string): Outcome {
  return { state: "warning", finding, remedy };
}

/** Something does not work. */
export function failed(code: ErrorCode, finding: string, remedy?: string): Outcome {
  return { state: "failed", code, finding, ...(remedy !== undefined && { remedy }) };
}

/** There is nothing to look at, which is no fault. */
export function skipped(finding: string): Outcome {
  return { state: "skipped", finding };
}

/**
 * Looks at one thing, of which there may be several. What is thrown is a finding, too.
 * @param remedy for what is thrown
 * @throws {LloomError} `aborted`
 */
export async function check(
  name: string,
  look: () => Outcome | readonly Outcome[] | Promise<Outcome | readonly Outcome[]>,
  remedy?: string,
): Promise<readonly CheckResult[]> {
  try {
    return [await look()].flat().map((outcome) => ({ name, ...outcome }));
  } catch (thrown) {
    const { code, message } = LloomError.wrap(thrown);
    if (code === "aborted") throw thrown;
    return [{ name, ...failed(code, message, remedy) }];
  }
}
