import type { StoredResponse } from "@lloom/host/stores";
import assert from "node:assert/strict";
import { conversationOf, resolveReferences, type ResponseStore } from "./response_store.ts";

const HEX = "a".repeat(32);

/** A store in which every id is kept, each going on from the next. */
function storeOf(text: string, chain = 1): ResponseStore {
  const output = [{ id: `msg_${HEX}_0`, type: "message", content: text }];
  let reads = 0;
  return {
    put: () => {},
    delete: () => false,
    unfinished: () => [],
    get: (id): StoredResponse => ({
      id,
      createdS: 1,
      response: JSON.stringify({ output }),
      input: "[]",
      ...(++reads < chain && { previousId: "next" }),
    }),
  };
}

const reference = { type: "item_reference", id: `msg_${HEX}_0` };

Deno.test("a small request cannot have the gateway read and repeat more than it would take itself", () => {
  const long = storeOf("x".repeat(1 << 20));
  assert.equal(resolveReferences(long, Array(10).fill(reference)).length, 10);
  const tooMany = () => resolveReferences(long, Array(20_000).fill(reference));
  assert.throws(tooMany, { code: "frame_too_large" });
  assert.equal(conversationOf(storeOf("x".repeat(1 << 20), 10), "first").length, 10);
  const tooLong = () => conversationOf(storeOf("x".repeat(1 << 20), 1000), "first");
  assert.throws(tooLong, { code: "frame_too_large" });
});
