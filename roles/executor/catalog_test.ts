import type { ErrorCode } from "@lloom/core/errors";
import { MAX_CONTEXT_LENGTH } from "@lloom/core/protocol";
import type { ServedRequest } from "@lloom/core/net";
import type { InferenceModel } from "@lloom/workers/inference";
import assert from "node:assert/strict";
import type { Backend } from "./backends.ts";
import { Catalog } from "./catalog.ts";

const FREE = { defaultInboundPrice: 0n, defaultOutboundPrice: 0n, models: new Map() };

async function catalogOf(...models: Partial<InferenceModel>[]): Promise<Catalog> {
  const found = models.map((model): InferenceModel => ({
    name: "m",
    backendModel: "m",
    features: [],
    ...model,
  }));
  const worker = {
    name: "test",
    load: () => ({ active: 0, queued: 0 }),
    discover: () => Promise.resolve({ models: found }),
  } as unknown as Backend["worker"];
  const catalog = new Catalog(`0x${"11".repeat(20)}`, FREE, [
    { kind: "custom", capacity: 1, worker },
  ]);
  await catalog.refresh(new AbortController().signal);
  return catalog;
}

const failed = (code: ErrorCode): ServedRequest => ({
  model: "m",
  durationMs: 5,
  error: { code, message: "test" },
});

Deno.test("what a client can bring about at will does not count against a model", async () => {
  const catalog = await catalogOf({});
  const codes: ErrorCode[] = [
    ...["backend_rejected", "context_length_exceeded", "feature_unsupported"] as const,
    ...["request_invalid", "aborted", "timeout", "overloaded", "rate_limited"] as const,
  ];
  for (const code of codes) catalog.record(failed(code));
  assert.equal(catalog.offers()[0]!.performance, undefined);
});

Deno.test("what goes wrong at the backend counts against a model", async () => {
  const codes = [
    "backend_failed",
    "backend_timeout",
    "backend_truncated",
    "worker_crashed",
  ] as const;
  for (const code of codes) {
    const catalog = await catalogOf({});
    catalog.record(failed(code));
    assert.equal(catalog.offers()[0]!.performance?.successRate, 0, code);
  }
});

Deno.test("a context longer than an announcement can say is announced as the longest that it can", async () => {
  const catalog = await catalogOf({ contextLength: 2 ** 40 }, { name: "n", contextLength: 4096 });
  assert.deepEqual(
    catalog.offers().map(({ contextLength }) => contextLength),
    [MAX_CONTEXT_LENGTH, 4096],
  );
});
