/** Model servers on this machine, where they listen unless told otherwise. @module */
import { isJsonObject, parseJson } from "@lloom/core/protocol";
import { directHttp } from "@lloom/workers/direct_http";

/** A kind of model server. */
export interface ModelServer {
  /** As an executor's `[[llm_backends]]` names it. */
  readonly kind: string;
  /** As people call it. */
  readonly name: string;
  /** TCP port on this machine. */
  readonly port: number;
}

/** A model server that answers. */
export interface FoundModelServer extends ModelServer {
  /** Its URL, without a final slash. */
  readonly endpoint: string;
  /** Names of its models; none if it is some other server, or has none. */
  readonly models: readonly string[];
}

/** Those that are looked for. */
export const MODEL_SERVERS: readonly ModelServer[] = [
  { kind: "ollama", name: "Ollama", port: 11434 },
  { kind: "lmstudio", name: "LM Studio", port: 1234 },
  { kind: "llamacpp", name: "llama.cpp", port: 8080 },
  { kind: "vllm", name: "vLLM", port: 8000 },
];

/** How long a model server has to answer; the one looked for is on this machine. */
const PROBE_TIMEOUT_MS = 500;
const MAX_LISTING_BYTES = 1 << 20;

/** Looks at all of {@linkcode MODEL_SERVERS}; those that have a model, in that order. */
export async function findModelServers(signal: AbortSignal): Promise<readonly FoundModelServer[]> {
  const found = await Promise.all(MODEL_SERVERS.map(async (server) => {
    const endpoint = `http://127.0.0.1:${server.port}`;
    return { ...server, endpoint, models: await listModels(endpoint, signal) };
  }));
  return found.filter(({ models }) => models.length > 0);
}

/** The models of a server; none if there is no such server. */
async function listModels(endpoint: string, signal: AbortSignal): Promise<readonly string[]> {
  const timeout = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  using client = directHttp(new URL(endpoint));
  try {
    const response = await fetch(`${endpoint}/v1/models`, {
      redirect: "error",
      signal: AbortSignal.any([signal, timeout]),
      ...(client !== undefined && { client }),
    });
    const listing = parseJson(await response.bytes(), MAX_LISTING_BYTES);
    if (!response.ok || !isJsonObject(listing) || !Array.isArray(listing.data)) return [];
    return listing.data.map((model) => model?.id).filter((id) => typeof id === "string");
  } catch {
    // Nobody there, or something else: either way no model server.
    signal.throwIfAborted();
    return [];
  }
}
