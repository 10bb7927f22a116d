/**
 * The faults of the original Lloom, and the tests that fail on such behaviour. Each test below holds
 * the table to its word: the tests that it names are there, and run.
 * @module
 */
import assert from "node:assert/strict";
import { read } from "../arch/sources.ts";

/** Each fault, with the files and names of the tests that cover it. */
const FAULTS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  "its signature covers the payload but not timestamp or nonce": {
    "core/signing/encode_test.ts": ["any flipped bit in any field changes the digest"],
    "core/registry/accept_announcement_test.ts": [
      "no change of a signed announcement's bytes is accepted",
    ],
    "tests/e2e/hostile_client_test.ts": [
      "a request whose commitment was changed after signing is refused as signer_mismatch",
    ],
  },
  "the client's nonce is always 1 and never checked": {
    "tests/e2e/hostile_executor_test.ts": [
      "every request carries a nonce of its own, which nobody can guess",
    ],
    "tests/e2e/hostile_client_test.ts": [
      "a replayed request is refused as request_replayed, on its stream and on another",
    ],
    "roles/host/stores/sqlite_nonce_store_test.ts": [
      "a use that was acknowledged is remembered after kill -9",
    ],
  },
  "nonces must come in strict sequence": {
    "tests/support/nonce_store_compliance.ts": [
      "${name}: a nonce is used once by each client",
      "${name}: agrees with a plain list for any sequence of uses",
    ],
  },
  "the client uses a response even when its verification fails": {
    "tests/e2e/hostile_executor_test.ts": [
      "${name} is ${code} at the client",
      "the client's program exits with 6 on a receipt that proves other content",
    ],
    "core/session/session_test.ts": [
      "any schedule: an answer that the client did not finish is never a success",
    ],
    "core/net/paid_infer_test.ts": [
      "a receipt for another text than came is not paid: receipt_invalid",
    ],
  },
  "the client never ties the signer to the executor that it asked": {
    "core/session/session_test.ts": [
      "a receipt signed by another than the executor asked is refused",
    ],
    "tests/e2e/hostile_executor_test.ts": ["a receipt signed by another"],
  },
  "the executor serves unsigned requests while signing is on": {
    "tests/e2e/hostile_client_test.ts": [
      "a request without a signature is refused as frame_malformed, and with none but zeros as signature_invalid",
      "a request signed by another than its sender is refused as signer_mismatch",
    ],
  },
  "the validator registers announcements without verifying them": {
    "tests/e2e/hostile_client_test.ts": [
      "an announcement for another peer is rejected by the validator and never listed",
    ],
    "core/registry/accept_announcement_test.ts": ["forged announcements are rejected"],
  },
  "the validator answers no query": {
    "tests/e2e/client_command_test.ts": [
      "--discover-models lists every model once, with its executors",
      "--query-model lists the executors of a model",
    ],
    "core/registry/registry_query_test.ts": ["every query of the protocol has an answer"],
  },
  "settlement calls a function that the contract lacks, and moves no money": {
    "contracts/generated_test.ts": ["what is generated is what the sources compile to${"],
    "tests/contracts/channels_test.ts": [
      "a channel is paid, topped up, redeemed and closed with signatures of our own${",
    ],
    "tests/contracts/digests_test.ts": [
      "Solidity, viem and our encoder agree on every digest, on a chain${",
    ],
  },
  "the cost is flat, whatever the price": {
    "core/payments/amounts_test.ts": [
      "a cost follows both prices and both counts of tokens, to the millionth of a base unit",
    ],
    "core/session/paying_test.ts": [
      "a receipt that claims what was delivered is settled at its exact cost",
    ],
    "core/net/paid_infer_test.ts": [
      "an answer is paid as it comes, both ledgers agree, and three requests share a stream",
    ],
  },
  "maxTokens is never checked": {
    "core/session/paying_test.ts": [
      "a demand for more tokens than were committed to is not paid: overcharged",
    ],
    "workers/inference/model_run_test.ts": [
      "a backend that claims more than maxTokens is paid maxTokens, and the operator is told",
      "an answer far above maxTokens is stopped",
    ],
  },
  "amounts in decimal are parsed as hexadecimal": {
    "core/payments/amounts_test.ts": ["amounts are decimal: 10 is ten"],
    "core/protocol/cbor_test.ts": ["amounts are decimal text: 10 is ten, and 0x10 is none"],
  },
  "the prompt is published in clear, or can be guessed from its hash": {
    "workers/crypto/compliance_test.ts": [
      "a body, salt or content that was not signed is refused",
    ],
  },
};

for (const [fault, covered] of Object.entries(FAULTS)) {
  Deno.test(`a test fails where ${fault}`, () => {
    for (const [path, names] of Object.entries(covered)) {
      const text = read(path);
      for (const name of names) {
        const quoted = [`"${name}"`, `\`${name}`].some((form) => text.includes(form));
        assert.ok(quoted, `${path} has no test "${name}"`);
      }
      assert.doesNotMatch(text, /\bignore: true\b|\bonly: true\b|test\.(?:ignore|only)\(/, path);
    }
  });
}
