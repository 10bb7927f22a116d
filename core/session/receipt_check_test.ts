import assert from "node:assert/strict";
import { ZERO_HASH } from "../bytes.ts";
import type { LlmRequestCommitment, LlmResponseCommitment } from "../signing/typed_data.ts";
import { receiptExcess } from "./receipt_check.ts";

const PRICES = { inboundPrice: 7n, outboundPrice: 11n };
const BODY_BYTES = 40;

function excess(said: Partial<LlmResponseCommitment>, textBytes: number): string | undefined {
  const asked = { ...PRICES, maxTokens: 100 } as LlmRequestCommitment;
  const subject = { asked, requestHash: ZERO_HASH, client: `0x${"c1".repeat(20)}` as const };
  const whole = { ...PRICES, inboundTokens: 10, outboundTokens: 0, success: false, ...said };
  return receiptExcess(
    whole as LlmResponseCommitment,
    { ...subject, bodyBytes: BODY_BYTES },
    { textBytes, answers: 1 },
  );
}

Deno.test("an answer that failed before any text is paid no more than was paid in advance", () => {
  assert.equal(excess({}, 0), undefined);
  for (const more of [{ inboundTokens: 11 }, { outboundTokens: 1 }]) {
    assert.match(excess(more, 0)!, /in advance/);
    assert.equal(excess(more, 1), undefined);
    assert.equal(excess({ ...more, success: true }, 0), undefined);
  }
});
