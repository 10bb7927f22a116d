import assert from "node:assert/strict";
import fc from "fast-check";
import { compactSignatureToSignature, serializeSignature } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { privateKeys } from "../../tests/support/messages.ts";
import { toHex } from "../bytes.ts";
import { toCompactSignature, toEthereumSignature } from "./ethereum_signature.ts";
import { noblePrimitives } from "./noble_primitives.ts";

const digests = fc.uint8Array({ minLength: 32, maxLength: 32 });

Deno.test("both forms are those of viem, for any key and digest", async () => {
  await fc.assert(
    fc.asyncProperty(privateKeys, digests, async (key, digest) => {
      const signature = noblePrimitives.sign(digest, key);
      const expected = await privateKeyToAccount(toHex(key)).sign({ hash: toHex(digest) });
      assert.equal(toEthereumSignature(signature), expected);
      const { r, vs } = toCompactSignature(signature);
      const compact = compactSignatureToSignature({ r, yParityAndS: vs });
      assert.equal(serializeSignature(compact), expected);
    }),
    { numRuns: 50 },
  );
});

Deno.test("a signature that is not canonical has neither form", () => {
  const high = new Uint8Array(65).fill(0xff, 0, 64).fill(1, 0, 32);
  for (const bad of [new Uint8Array(64), new Uint8Array(65), high]) {
    assert.throws(() => toCompactSignature(bad), { code: "signature_invalid" });
    assert.throws(() => toEthereumSignature(bad), { code: "signature_invalid" });
  }
});
