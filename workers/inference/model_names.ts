/** Which of a backend's models are offered, and under which names. @module */
import { LloomError } from "@lloom/core/errors";
import type { BackendModel } from "./backends/backend.ts";
import type { CommonInferenceOptions } from "./options.ts";

/** A model as it may be announced. */
export interface InferenceModel extends Omit<BackendModel, "id"> {
  /** The announced name. */
  readonly name: string;
  /** The backend's own name. */
  readonly backendModel: string;
}

type NamingOptions = Pick<
  CommonInferenceOptions,
  "models" | "aliases" | "contextLength" | "features"
>;

/** Names and limits of the models of one backend. */
export class ModelNames {
  readonly #allowed: ReadonlySet<string> | undefined;
  readonly #aliases: ReadonlyMap<string, string>;
  readonly #options: NamingOptions;
  /** By announced name; undefined before the backend was asked. */
  #offered: ReadonlyMap<string, InferenceModel> | undefined;

  constructor(options: NamingOptions) {
    this.#allowed = options.models && new Set(options.models);
    this.#aliases = new Map(Object.entries(options.aliases ?? {}));
    this.#options = options;
  }

  /** Takes what the backend offers now. Returns what is to be announced. */
  update(models: readonly BackendModel[]): readonly InferenceModel[] {
    const offered = new Map<string, InferenceModel>();
    for (const model of models) {
      const aliases = [...this.#aliases].filter(([, target]) => target === model.id);
      const names = aliases.length > 0 ? aliases.map(([alias]) => alias) : [model.id];
      for (const name of names) {
        if (this.#allowed?.has(name) === false) continue;
        offered.set(name, this.#describe(name, model));
      }
    }
    this.#offered = offered;
    return [...offered.values()];
  }

  /**
   * The backend's name of an announced model, and its context length if known.
   * @throws {LloomError} `model_unavailable`
   */
  find(name: string): { readonly backendModel: string; readonly contextLength?: number } {
    const known = this.#offered?.get(name);
    if (known !== undefined) return known;
    if (this.#offered !== undefined || this.#allowed?.has(name) === false) {
      throw new LloomError("model_unavailable", "find model: not offered here");
    }
    const { contextLength } = this.#options;
    return {
      backendModel: this.#aliases.get(name) ?? name,
      ...(contextLength !== undefined && { contextLength }),
    };
  }

  #describe(name: string, { id, ...about }: BackendModel): InferenceModel {
    const limit = Math.min(
      this.#options.contextLength ?? Infinity,
      about.contextLength ?? Infinity,
    );
    const { features: more = [] } = this.#options;
    const writes = about.features.some((feature) => feature !== "embeddings");
    return {
      ...about,
      features: writes ? [...new Set([...about.features, ...more])] : about.features,
      name,
      backendModel: id,
      ...(limit !== Infinity && { contextLength: limit }),
    };
  }
}
