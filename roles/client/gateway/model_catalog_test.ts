import type { ModelOffer, ModelSummary } from "@lloom/core/protocol";
import type { RegistryEntry } from "@lloom/core/registry";
import assert from "node:assert/strict";
import { ModelCatalog } from "./model_catalog.ts";

const ASSET = { address: `0x${"00".repeat(20)}`, symbol: "USDC", decimals: 6 } as const;
const SUMMARY: ModelSummary = {
  id: "org/llama:8b",
  executors: 2,
  available: 1,
  inboundPrice: { low: 150_000n, high: 200_000n },
  outboundPrice: { low: 600_000n, high: 600_000n },
  contextLength: 8192,
  features: ["chat", "tools", "vision"],
};
const OFFER: ModelOffer = {
  id: SUMMARY.id,
  backend: "vllm",
  features: ["chat", "tools"],
  available: true,
  inboundPrice: 200_000n,
  outboundPrice: 600_000n,
  performance: { tokensPerSecond: 50, timeToFirstTokenMs: 120, successRate: 1 },
};
// What the catalogue reads of an entry.
const ENTRY = {
  announcement: {
    peerId: "16Uiu2HAmExecutor",
    executor: `0x${"11".repeat(20)}`,
    load: { active: 1, queued: 0, capacity: 4 },
    models: [OFFER],
  },
  lastSeen: 1_700_000_000_000,
} as unknown as RegistryEntry;

function catalog(asset?: typeof ASSET) {
  return new ModelCatalog({
    client: {
      models: () => Promise.resolve([SUMMARY]),
      executors: () => Promise.resolve([ENTRY]),
    },
    aliases: { "gpt-4o": SUMMARY.id, "nobody": "gone" },
    ...(asset && { asset }),
  });
}

/** What is looked at of a model. */
interface Entry {
  readonly id: string;
  readonly [field: string]: unknown;
}

Deno.test("models are listed by their names and by aliases, with prices of one token", async () => {
  const list = await catalog(ASSET).list();
  const [model, alias] = list["data"] as Entry[];
  assert.deepEqual([model!.id, alias!.id], [SUMMARY.id, "gpt-4o"]);
  assert.deepEqual([list["first_id"], list["last_id"], list["has_more"]], [
    SUMMARY.id,
    "gpt-4o",
    false,
  ]);
  assert.deepEqual(model!["pricing"], {
    prompt: "0.00000015",
    completion: "0.0000006",
    currency: "USDC",
  });
  assert.deepEqual(model!["executors"], { total: 2, available: 1 });
  assert.deepEqual(model!["architecture"], {
    input_modalities: ["text", "image"],
    output_modalities: ["text"],
  });
  assert.ok((model!["supported_parameters"] as string[]).includes("tools"));
});

Deno.test("one model has its executors, each at its own price", async () => {
  const model = await catalog().find("gpt-4o");
  const [endpoint] = model["endpoints"] as Record<string, unknown>[];
  assert.equal(model["id"], "gpt-4o");
  assert.equal(endpoint!["executor"], "16Uiu2HAmExecutor");
  assert.deepEqual(endpoint!["pricing"], {
    prompt: "0.2",
    completion: "0.6",
    currency: "base units",
  });
  assert.equal(endpoint!["tokens_per_second"], 50);
});

Deno.test("a model that nobody offers is not found, by an alias neither", async () => {
  for (const name of ["gone", "nobody", "constructor"]) {
    await assert.rejects(catalog().find(name), { code: "model_unavailable" });
  }
});
