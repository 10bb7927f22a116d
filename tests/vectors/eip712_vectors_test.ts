import assert from "node:assert/strict";
import { fromHex, toHex } from "@lloom/core/bytes";
import {
  createTypedDataHasher,
  type MessageType,
  noblePrimitives,
  type SigningDomain,
  TYPES,
} from "@lloom/core/signing";
import { createWasmPrimitives } from "../../workers/crypto/wasm_primitives.ts";
import file from "./eip712_vectors.json" with { type: "json" };
import type { AnyMessage } from "../support/messages.ts";

const IMPLEMENTATIONS = { noble: noblePrimitives, wasm: await createWasmPrimitives() };

/** A message with its decimal texts as numbers again. */
function revive(type: MessageType, message: { readonly [name: string]: unknown }): AnyMessage {
  const revived: { [name: string]: unknown } = { ...message };
  for (const field of TYPES[type]) {
    if (/^uint(?:64|96|256)$/.test(field.type)) {
      revived[field.name] = BigInt(message[field.name] as string);
    }
  }
  return { type, message: revived } as unknown as AnyMessage;
}

Deno.test("the golden file is for the messages as they are now", () => {
  assert.deepEqual(file.types, TYPES);
  const types = new Set(file.vectors.map((vector) => vector.type));
  assert.deepEqual([...types].sort(), Object.keys(TYPES).sort());
});

for (const [name, primitives] of Object.entries(IMPLEMENTATIONS)) {
  Deno.test(`${name}: domain separators, hashes and signatures are the golden ones`, () => {
    for (const vector of file.vectors) {
      const { chainId } = vector.domain;
      const domain = { ...vector.domain, chainId: BigInt(chainId) } as SigningDomain;
      const hasher = createTypedDataHasher(primitives.keccak256, domain);
      const { type, message } = revive(vector.type as MessageType, vector.message);
      const digest = hasher.digest(type, message);
      const signature = primitives.sign(digest, fromHex(file.privateKey));
      const actual = {
        domainSeparator: toHex(hasher.domainSeparator),
        structHash: toHex(hasher.hashStruct(type, message)),
        digest: toHex(digest),
        signature: toHex(signature),
        signer: primitives.recover(digest, signature),
      };
      const { domainSeparator, structHash, signature: signed } = vector;
      const expected = { domainSeparator, structHash, digest: vector.digest, signature: signed };
      assert.deepEqual(actual, { ...expected, signer: file.signer }, vector.name);
    }
  });
}
