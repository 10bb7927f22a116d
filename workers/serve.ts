/** The worker's end of `pool.ts`. @module */
import { type ErrorData, LloomError } from "@lloom/core/errors";

/** A thrown value as plain data. Misuse of an API stays the built-in that it was. */
export type Thrown = ErrorData & {
  /** Absent for all that is no misuse. */
  readonly builtIn?: "TypeError" | "RangeError";
};

/** What a worker sends: once `ready`, then one message per call. */
export type Reply =
  | "ready"
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly thrown: Thrown };

/** A worker's methods by name. */
export type Handlers = ReadonlyMap<string, (...args: never[]) => unknown>;

/** What was thrown, as plain data. The reverse of {@linkcode revive}. */
export function describe(error: unknown): Thrown {
  const data = LloomError.wrap(error).toData();
  if (error instanceof RangeError) return { ...data, builtIn: "RangeError" };
  if (error instanceof TypeError) return { ...data, builtIn: "TypeError" };
  return data;
}

/** The error that a worker described. */
export function revive({ builtIn, ...data }: Thrown): Error {
  if (builtIn === "RangeError") return new RangeError(data.message);
  if (builtIn === "TypeError") return new TypeError(data.message);
  return LloomError.from(data);
}

interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: Reply): void;
}

/**
 * Answers a pool's calls from within a worker module. Call it once, while the module loads.
 * @param create makes the handlers by method name from the pool's `init`; if it throws, the worker
 * counts as crashed
 */
export function serve<Init>(create: (init: Init) => Handlers | Promise<Handlers>): void {
  const scope = self as unknown as WorkerScope;
  const answer = async (handlers: Handlers, [id, method, args]: [number, string, never[]]) => {
    try {
      const handler = handlers.get(method);
      if (handler === undefined) throw new TypeError(`call worker: no method ${method}`);
      scope.postMessage({ id, result: await handler(...args) });
    } catch (error) {
      scope.postMessage({ id, thrown: describe(error) });
    }
  };
  scope.onmessage = async ({ data: init }) => {
    const handlers = await create(init);
    scope.onmessage = ({ data }) => void answer(handlers, data);
    scope.postMessage("ready");
  };
}
