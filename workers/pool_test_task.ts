/** A worker for the tests of the pool. @module */
import { LloomError } from "@lloom/core/errors";
import { serve } from "./serve.ts";

const self_ = crypto.randomUUID();

const handlers = {
  /** Which worker this is. */
  who: (): string => self_,
  sum: (bytes: Uint8Array): number => bytes.reduce((sum, byte) => sum + byte, 0),
  /** Says in `gate[1]` that it began, and blocks this worker until `gate[0]` is set. */
  wait(gate: Int32Array): string {
    Atomics.add(gate, 1, 1);
    Atomics.notify(gate, 1);
    Atomics.wait(gate, 0, 0);
    return self_;
  },
  refuse(): never {
    throw new LloomError("price_too_low", "admit: too low", { retryAfterMs: 7 });
  },
  misuse(): never {
    throw new RangeError("misused");
  },
  fail(): never {
    throw new Error("broken");
  },
  uncloneable: (): unknown => () => {},
  /** An exception outside the call: ends the worker. */
  crash(): Promise<never> {
    queueMicrotask(() => {
      throw new Error("crash");
    });
    return new Promise(() => {});
  },
};
/** What the worker answers. */
export type TestMethods = typeof handlers;

serve<{ readonly broken?: boolean }>((init) => {
  if (init.broken) throw new Error("cannot start");
  return new Map(Object.entries(handlers));
});
