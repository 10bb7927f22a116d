/** What hostile peers send to a live executor and a live validator, and what becomes of it. */
import assert from "node:assert/strict";
import { fromHex, toHex } from "@lloom/core/bytes";
import type { ErrorCode } from "@lloom/core/errors";
import { generateIdentity } from "@lloom/core/identity";
import { createNode } from "@lloom/core/net";
import type { RequestDraft, SignedRequest, Signer } from "@lloom/core/ports";
import {
  encodeCbor,
  encodeFrames,
  encodeOpen,
  LLM_PROTOCOL,
  MAX_REQUEST_FRAME_BYTES,
  REGISTRY_PROTOCOL,
  signedRequestFields,
} from "@lloom/core/protocol";
import { createSigner, noblePrimitives } from "@lloom/core/signing";
import { systemClock } from "@lloom/host";
import { ask, chat } from "../support/asking.ts";
import { executor as announcer } from "../support/executor.ts";
import { mockText } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST, type RunningRole } from "../support/network.ts";
import { RawPeer, type RawStream } from "../support/raw_peer.ts";
import { BODY, nextFrame, SALT, signedRequest } from "../support/raw_request.ts";

let network: Network;
let victim: RunningRole;
let peer: RawPeer;

Deno.test.beforeAll(async () => {
  network = await Network.open();
  victim = await network.executor({ backends: [network.mock()] });
  peer = await RawPeer.start();
});

Deno.test.afterAll(async () => {
  await peer?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

/** Afterwards, the node still serves whoever behaves. */
function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name,
    ...PROCESS_TEST,
    fn: async () => {
      await fn();
      const stream = await connect();
      stream.sendFrame(await openFrame());
      assert.equal((await nextFrame(stream))?.type, "accept");
      assert.equal(await text(stream), mockText(16));
    },
  });
}

const nowS = (): bigint => BigInt(Math.floor(Date.now() / 1000));

function connect(): Promise<RawStream> {
  return peer.open(victim.ready.multiaddrs[0]!, LLM_PROTOCOL);
}

function signed(
  change: Partial<RequestDraft> = {},
  signer: Signer = peer.signer,
): Promise<SignedRequest> {
  return signedRequest(signer, victim.ready.address, change);
}

async function openFrame(
  change: Partial<RequestDraft> = {},
  signer: Signer = peer.signer,
): Promise<Uint8Array> {
  return encodeOpen({ body: BODY, salt: SALT, request: await signed(change, signer) });
}

/** The answer's text, up to its receipt. */
async function text(stream: RawStream): Promise<string> {
  let text = "";
  for (;;) {
    const frame = await nextFrame(stream);
    if (frame?.type === "receipt") return text;
    assert.ok(frame?.type === "delta", `expected a delta, got ${frame?.type}`);
    for (const line of new TextDecoder().decode(frame.lines).trimEnd().split("\n")) {
      text += JSON.parse(line).choices[0]?.delta.content ?? "";
    }
  }
}

/** The code of the refusal that comes next. */
async function refusal(stream: RawStream): Promise<ErrorCode> {
  const frame = await nextFrame(stream);
  assert.ok(frame?.type === "reject", `expected a reject, got ${frame?.type}`);
  return frame.error.code;
}

test("an oversized frame is refused as frame_too_large before its body comes", async () => {
  const stream = await connect();
  const frame = encodeFrames([new Uint8Array(MAX_REQUEST_FRAME_BYTES + 1)]);
  stream.sendBytes(frame.subarray(0, 16));
  assert.equal(await refusal(stream), "frame_too_large");
});

test("a frame that ends too early is refused as frame_malformed", async () => {
  const stream = await connect();
  stream.sendBytes(encodeFrames([await openFrame()]).subarray(0, 100));
  await stream.end();
  assert.equal(await refusal(stream), "frame_malformed");
});

for (
  const [name, body, code] of [
    ["that is no CBOR", Uint8Array.of(0xff, 0xff, 0xff), "frame_malformed"],
    ["of an unknown type", encodeCbor({ t: "explode" }), "frame_unsupported"],
    ["without its fields", encodeCbor({ t: "open" }), "frame_malformed"],
    ["that is nested deeply", new Uint8Array(60 << 10).fill(0x81), "frame_malformed"],
  ] as const
) {
  test(`a frame ${name} is refused as ${code}`, async () => {
    const stream = await connect();
    stream.sendFrame(body);
    assert.equal(await refusal(stream), code);
  });
}

for (
  const [name, change, code] of [
    ["past its deadline", { deadline: nowS() - 1n }, "request_expired"],
    ["from too far in the future", { deadline: nowS() + 86_400n }, "request_premature"],
    ["for a model that is not served", { model: "nobody-has-it" }, "model_unavailable"],
    ["for another executor", { executor: `0x${"12".repeat(20)}` }, "request_invalid"],
    ["that names a price without a channel", { outboundPrice: 1n }, "payment_required"],
  ] as const
) {
  test(`a request ${name} is refused as ${code}, and the stream goes on`, async () => {
    const stream = await connect();
    stream.sendFrame(await openFrame(change));
    assert.equal(await refusal(stream), code);
    stream.sendFrame(await openFrame());
    assert.equal((await nextFrame(stream))?.type, "accept");
    assert.equal(await text(stream), mockText(16));
  });
}

test("a request signed by another than its sender is refused as signer_mismatch", async () => {
  const stranger = createSigner(
    noblePrimitives,
    {},
    generateIdentity().exportPrivateKey(),
  );
  const stream = await connect();
  stream.sendFrame(await openFrame({}, stranger));
  assert.equal(await refusal(stream), "signer_mismatch");
});

test("a request whose commitment was changed after signing is refused as signer_mismatch", async () => {
  const { commitment, signature } = await signed();
  const request = { commitment: { ...commitment, nonce: commitment.nonce ^ 1n }, signature };
  const stream = await connect();
  stream.sendFrame(encodeOpen({ body: BODY, salt: SALT, request }));
  assert.equal(await refusal(stream), "signer_mismatch");
});

test("a request whose body was changed after signing is refused as request_invalid", async () => {
  const body = new TextEncoder().encode(JSON.stringify(chat({ max_tokens: 1 })));
  const stream = await connect();
  stream.sendFrame(encodeOpen({ body, salt: SALT, request: await signed() }));
  assert.equal(await refusal(stream), "request_invalid");
});

test("a request without a signature is refused as frame_malformed, and with none but zeros as signature_invalid", async () => {
  const { commitment } = await signed();
  const request = { commitment, signature: new Uint8Array(65) };
  const zeros = await connect();
  zeros.sendFrame(encodeOpen({ body: BODY, salt: SALT, request }));
  assert.equal(await refusal(zeros), "signature_invalid");
  const without = await connect();
  const fields = { ...signedRequestFields(request), signature: undefined };
  without.sendFrame(encodeCbor({ t: "open", body: BODY, salt: SALT, ...fields }));
  assert.equal(await refusal(without), "frame_malformed");
});

test("a high-s signature is refused as signature_invalid", async () => {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const { commitment, signature } = await signed();
  const s = BigInt(toHex(signature.slice(32, 64)));
  const high = signature.slice();
  high.set(fromHex(`0x${(order - s).toString(16).padStart(64, "0")}`), 32);
  high[64]! ^= 1;
  const stream = await connect();
  stream.sendFrame(
    encodeOpen({ body: BODY, salt: SALT, request: { commitment, signature: high } }),
  );
  assert.equal(await refusal(stream), "signature_invalid");
});

test("a replayed request is refused as request_replayed, on its stream and on another", async () => {
  const frame = await openFrame();
  const stream = await connect();
  stream.sendFrame(frame);
  assert.equal((await nextFrame(stream))?.type, "accept");
  await text(stream);
  stream.sendFrame(frame);
  assert.equal(await refusal(stream), "request_replayed");
  const other = await connect();
  other.sendFrame(frame);
  assert.equal(await refusal(other), "request_replayed");
});

test("a query that is no query is answered with its code by the validator, which lives on", async () => {
  const validator = network.validators[0]!;
  const address = validator.ready.multiaddrs[0]!;
  const stream = await peer.open(address, REGISTRY_PROTOCOL);
  stream.sendFrame(encodeCbor({ t: "drop table" }));
  const answer = await stream.frames.next();
  assert.match(new TextDecoder().decode(answer), /frame_unsupported|frame_malformed/);
  assert.deepEqual(await network.listed(validator), [victim.peerId]);
});

test("an announcement for another peer is rejected by the validator and never listed", async () => {
  const validator = network.validators[0]!;
  await using gossiper = await startGossiper(validator.ready.multiaddrs);
  const [liar, other, honest] = [announcer(), announcer(), announcer()];
  await gossiper.publish((timestamp) =>
    // In the other's name, with the liar's signature.
    liar.announce({ timestamp, peerId: other.peerId, executor: other.address })
  );
  await validator.child.logged(
    new RegExp(`from .*${gossiper.peerId}.* "?reject"?: "?signer_mismatch`),
  );
  await gossiper.publish((timestamp) =>
    // The victim's PeerId, nowhere to be reached, with the liar's own address and signature.
    liar.announce({ timestamp, peerId: victim.peerId, multiaddrs: [], sequence: 1n << 60n })
  );
  await gossiper.publish((timestamp) => honest.announce({ timestamp }));
  await validator.child.logged(new RegExp(`of .*${honest.peerId}.*: 1 models`));
  const listed = await network.listed(validator);
  assert.deepEqual([...listed].sort(), [victim.peerId, honest.peerId].sort());
  // Where the victim may be reached is still what it said itself.
  const client = await network.client();
  assert.equal((await ask(client)).receipt.executor.peerId, victim.peerId);
});

/** A node that gossips whatever it is given. */
async function startGossiper(bootstrap: readonly string[]) {
  const node = await createNode(
    { listen: [], bootstrap, gossip: true, loopbackOnly: true },
    { privateKey: generateIdentity().exportPrivateKey(), clock: systemClock },
  );
  const heard = Promise.withResolvers<void>();
  node.onAnnouncementPeer(() => heard.resolve());
  await node.start();
  await heard.promise;
  return {
    peerId: node.peerId,
    /** Gossips until somebody hears it: who listens is known before a stream to them is open. */
    async publish(make: (timestamp: number) => Promise<Uint8Array>): Promise<void> {
      while (await node.publish(await make(systemClock.now())) === 0) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    [Symbol.asyncDispose]: () => node.stop(),
  };
}
