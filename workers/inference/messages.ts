/** What the two sides of an inference worker say to each other. @module */
import type { ErrorData } from "@lloom/core/errors";
import type { InferenceEnd, InferenceJob } from "@lloom/core/ports";
import type { InferenceModel } from "./model_names.ts";
import type { InferenceOptions, ResolvedOptions } from "./options.ts";

/** To the worker. `start` is the first, and comes once. */
export type ToTask =
  | { readonly type: "start"; readonly options: ResolvedOptions<InferenceOptions> }
  | { readonly type: "run"; readonly id: number; readonly job: InferenceJob }
  | { readonly type: "pause" | "resume"; readonly id: number }
  | { readonly type: "cancel"; readonly id: number; readonly reason: ErrorData }
  | { readonly type: "models"; readonly id: number };

/** From the worker, in lists: what one turn had to say. Every `run` and `models` gets exactly one `end`, `models` or `fail`. */
export type FromTask =
  | {
    readonly type: "batch";
    readonly id: number;
    readonly lines: Uint8Array<ArrayBuffer>;
    readonly tokens: number;
  }
  | { readonly type: "end"; readonly id: number; readonly end: InferenceEnd }
  | { readonly type: "models"; readonly id: number; readonly models: readonly InferenceModel[] }
  | { readonly type: "fail"; readonly id: number; readonly error: ErrorData }
  | { readonly type: "warn"; readonly message: string };
