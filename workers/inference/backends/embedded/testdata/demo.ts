/** The demo model's files, as tests use them. @module */
import type { JsonObject } from "@lloom/core/protocol";
import { loadDemoModel } from "../demo_model.ts";

/** What the model must do, from an independent reference in numpy. */
export interface Golden {
  readonly generation: readonly {
    readonly messages: readonly JsonObject[];
    readonly prompt_ids: readonly number[];
    readonly greedy_ids: readonly number[];
    readonly greedy_text: string;
    readonly logits_first16?: readonly number[];
    readonly logits_argmax?: number;
  }[];
  readonly tokenizer: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

/** The reference. */
export const golden: Golden = JSON.parse(
  Deno.readTextFileSync(new URL("../golden.json", import.meta.url)),
);
/** The model. */
export const demoFile: Uint8Array<ArrayBuffer> = await loadDemoModel();
