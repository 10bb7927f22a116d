import { LloomError } from "@lloom/core/errors";
import { generateIdentity, toChecksumAddress } from "@lloom/core/identity";
import fc from "fast-check";
import assert from "node:assert/strict";
import { readWishes } from "./wishes.ts";

const { peerId: PEER, address } = generateIdentity();
const ADDRESS = toChecksumAddress(address);
const none = new Headers();

Deno.test("without wishes, the settings count", () => {
  assert.deepEqual(readWishes(none, undefined), { cache: "use" });
  assert.deepEqual(readWishes(none, null), { cache: "use" });
});

Deno.test("provider preferences are read as OpenRouter writes them", () => {
  const provider = {
    order: [PEER, ADDRESS],
    ignore: [ADDRESS],
    sort: "price",
    max_price: { prompt: 0.0000001, completion: "1.5", request: 2 },
    allow_fallbacks: true,
    require_parameters: true,
    data_collection: "allow",
    zdr: false,
  };
  assert.deepEqual(readWishes(none, provider), {
    cache: "use",
    prefer: [PEER, ADDRESS],
    exclude: [ADDRESS],
    strategy: "best-price",
    maxInboundPrice: "0.0000001",
    maxOutboundPrice: "1.5",
    maxPrice: "2",
    allowFallbacks: true,
    requireParameters: true,
  });
});

Deno.test("an order without fallbacks is all who may be asked", () => {
  const { only, prefer, allowFallbacks } = readWishes(none, {
    order: [PEER, ADDRESS],
    allow_fallbacks: false,
  });
  assert.deepEqual([only, prefer, allowFallbacks], [[PEER, ADDRESS], [PEER, ADDRESS], undefined]);
  assert.equal(readWishes(none, { allow_fallbacks: false }).allowFallbacks, false);
});

Deno.test("what cannot be promised is refused", () => {
  const promises = [
    { data_collection: "deny" },
    { zdr: true },
    { quantizations: ["fp8"] },
    { unheard_of: 1 },
    { sort: "beauty" },
    { max_price: { image: 1 } },
    { max_price: { prompt: -1 } },
    { order: ["openai"] },
    { only: [`${PEER}1`] },
    { only: [`0x${"aB".repeat(20)}`] }, // no checksum of EIP-55
    { order: PEER },
    { allow_fallbacks: "no" },
    "cheap",
  ];
  for (const provider of promises) {
    assert.throws(
      () => readWishes(none, provider),
      { code: "request_invalid" },
      JSON.stringify(provider),
    );
  }
});

Deno.test("headers are read, and count before provider", () => {
  const headers = new Headers({
    "X-Lloom-Strategy": "throughput",
    "X-Lloom-Executor": `${PEER}, ${ADDRESS}`,
    "X-Lloom-Prefer": PEER,
    "X-Lloom-Ignore": ADDRESS,
    "X-Lloom-Max-Price": "0.25",
    "X-Lloom-Max-Inbound-Price": "100",
    "X-Lloom-Max-Outbound-Price": "200",
    "X-Lloom-Timeout-Ms": "5000",
    "X-Lloom-Conversation": "chat 1",
    "X-Lloom-Hedge-Ms": "250",
    "X-Lloom-Continue": "true",
    "X-Lloom-Cache": "bypass",
  });
  assert.deepEqual(readWishes(headers, { sort: "price", only: [ADDRESS] }), {
    cache: "bypass",
    strategy: "throughput",
    only: [PEER, ADDRESS],
    prefer: [PEER],
    exclude: [ADDRESS],
    maxPrice: "0.25",
    maxInboundPrice: 100n,
    maxOutboundPrice: 200n,
    timeoutMs: 5000,
    conversation: "chat 1",
    hedgeAfterMs: 250,
    continueBroken: true,
  });
});

Deno.test("any header and any provider are read, or refused with a code", () => {
  const header = fc.record({
    name: fc.constantFrom("Strategy", "Executor", "Max-Price", "Timeout-Ms", "Continue", "Cache"),
    value: fc.string({ unit: "grapheme-ascii" }).map((text) => text.trim()),
  });
  const field = fc.constantFrom("order", "only", "sort", "max_price", "zdr", "__proto__");
  fc.assert(fc.property(header, fc.dictionary(field, fc.jsonValue()), (header, provider) => {
    try {
      readWishes(new Headers({ [`x-lloom-${header.name}`]: header.value }), provider);
    } catch (error) {
      assert.ok(error instanceof LloomError, String(error));
      assert.equal(error.code, "request_invalid");
    }
  }));
});
