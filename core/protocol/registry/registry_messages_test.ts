import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../../errors.ts";
import { attackCbor } from "../../../tests/support/hostile.ts";
import { answer, query } from "../../../tests/support/arbitraries.ts";
import { encodeCbor } from "../cbor.ts";
import { MAX_PAGE_SIZE } from "../limits.ts";
import { decodeAnswer, decodeQuery, encodeAnswer, encodeQuery } from "./mod.ts";

const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;

Deno.test("each query comes back as it was encoded", () => {
  fc.assert(fc.property(query, (q) => assert.deepEqual(decodeQuery(encodeQuery(q)), q)));
});

Deno.test("each answer comes back as it was encoded", () => {
  fc.assert(fc.property(answer, (a) => assert.deepEqual(decodeAnswer(encodeAnswer(a)), a)));
});

Deno.test("a page longer than the limit is refused", () => {
  const page = { limit: MAX_PAGE_SIZE + 1 };
  assert.throws(() => decodeQuery(encodeQuery({ type: "search", page })), code("frame_malformed"));
  const peerIds = Array.from({ length: MAX_PAGE_SIZE + 1 }, () => "p");
  assert.throws(
    () => decodeQuery(encodeQuery({ type: "executors", peerIds })),
    code("frame_malformed"),
  );
});

Deno.test("a query or a filter of a later version is unsupported if it must be understood", () => {
  assert.throws(() => decodeQuery(encodeCbor({ t: "auction" })), code("frame_unsupported"));
  const filters = { region: "eu", crit: ["region"] };
  assert.throws(() => decodeQuery(encodeCbor({ t: "search", filters })), code("frame_unsupported"));
  assert.deepEqual(
    decodeQuery(encodeCbor({ t: "search", filters: { region: "eu" } })),
    { type: "search", filters: {} },
  );
});

Deno.test("hostile queries and answers give coded errors only", () => {
  attackCbor(decodeQuery, query.map(encodeQuery));
  attackCbor(decodeAnswer, answer.map(encodeAnswer));
});
