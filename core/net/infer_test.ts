/** Client and server of the inference protocol, over streams in memory and real signatures. */
import assert from "node:assert/strict";
import { toHex } from "../bytes.ts";
import { type ErrorCode, LloomError } from "../errors.ts";
import type { Clock, MessageStream, NonceStore, RequestDraft } from "../ports.ts";
import type { ModelOffer } from "../protocol/announcement.ts";
import { readModelRequest } from "../protocol/model_request.ts";
import {
  decodeExecutorFrame,
  encodeCancel,
  encodeOpen,
  type ExecutorFrame,
} from "../protocol/infer/mod.ts";
import { draftRequest, randomNonce } from "../session/mod.ts";
import {
  createSigner,
  createVerifier,
  FREE_DOMAIN,
  noblePrimitives,
  type SigningDomain,
} from "../signing/mod.ts";
import { type MemoryStream, memoryStreams } from "../../tests/support/memory_stream.ts";
import { ScriptedModel } from "../../tests/support/scripted_model.ts";
import type { InferRequest } from "./infer_request.ts";
import { InferClient } from "./infer_client.ts";
import { ByteBudget } from "./byte_budget.ts";
import {
  InferServer,
  type InferServerComponents,
  type InferServerOptions,
} from "./infer_server.ts";
import type { ServedRequest } from "./serving.ts";

const clock: Clock = {
  now: Date.now,
  setTimer(ms, fire) {
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  },
};
const payment: SigningDomain = { ...FREE_DOMAIN, chainId: 31337n };
const clientSigner = createSigner(noblePrimitives, { payment }, new Uint8Array(32).fill(1));
const executorSigner = createSigner(noblePrimitives, {}, new Uint8Array(32).fill(2));
const verifier = createVerifier(noblePrimitives, {});
const executor = { peerId: "executor", address: executorSigner.address };
const offer: ModelOffer = {
  id: "m",
  backend: "custom",
  features: [],
  available: true,
  inboundPrice: 0n,
  outboundPrice: 0n,
};
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);

class Nonces implements NonceStore {
  readonly #used = new Set<string>();
  use(client: string, nonce: bigint): Promise<boolean> {
    const key = `${client} ${nonce}`;
    const isNew = !this.#used.has(key);
    this.#used.add(key);
    return Promise.resolve(isNew);
  }
}

function setUp(
  highWater?: number,
  changed: Partial<InferServerComponents> = {},
  options: InferServerOptions = {},
) {
  const model = new ScriptedModel();
  const served: ServedRequest[] = [];
  const ends: MemoryStream[] = [];
  const server = new InferServer(options, {
    clock,
    signer: executorSigner,
    verifier,
    nonces: new Nonces(),
    terms: {
      executor: executor.address,
      offer: (name) => name === "m" ? offer : undefined,
    },
    inference: (name) => name === "m" ? model : undefined,
    onDone: (request) => served.push(request),
    ...changed,
  });
  const connect = (from = clientSigner.address): MemoryStream => {
    const [near, far] = memoryStreams(highWater);
    ends.push(far);
    server.serve(far, from);
    return near;
  };
  const client = new InferClient({}, {
    clock,
    signer: clientSigner,
    verifier,
    openStream: () => Promise.resolve(connect()),
  });
  return { model, server, client, served, ends, connect };
}

function ask(change: Partial<RequestDraft> = {}): InferRequest {
  const body = bytes('{"model":"m","messages":[{"role":"user","content":"hi"}]}');
  const chat = readModelRequest({ model: "m", messages: [{ role: "user", content: "hi" }] });
  return {
    body,
    systemPrompt: "",
    answers: 1,
    draft: () => ({
      ...draftRequest(chat, {
        executor: executor.address,
        offer,
        nowMs: Date.now(),
        timeoutMs: 10_000,
        nonce: randomNonce(),
      }),
      ...change,
    }),
  };
}

async function readAll(answer: AsyncIterable<Uint8Array>): Promise<string> {
  let all = "";
  for await (const lines of answer) all += text(lines);
  return all;
}

const codeOf = (promise: Promise<unknown>): Promise<ErrorCode | undefined> =>
  promise.then(() => undefined, (error) => error instanceof LloomError ? error.code : error);

Deno.test("an answer streams in order and ends with a receipt that both sides signed", async () => {
  const { model, client, served } = setUp();
  const started = model.nextRun;
  const answer = client.ask(executor, ask());
  const reading = readAll(answer);
  const run = await started;
  run.say("one");
  run.say("two");
  run.end();
  assert.equal(await reading, "one\ntwo\n");
  const receipt = await answer.receipt;
  assert.equal(receipt.trailer.finish, "stop");
  assert.equal(receipt.response.commitment.client, clientSigner.address);
  assert.equal(receipt.response.commitment.outboundTokens, 2);
  assert.equal(served[0]?.client, clientSigner.address);
  await client.stop();
});

Deno.test("requests in sequence share one stream", async () => {
  const { model, client, ends } = setUp();
  for (let i = 0; i < 3; i++) {
    const started = model.nextRun;
    const answer = client.ask(executor, ask());
    (await started).end();
    await answer.receipt;
  }
  assert.equal(ends.length, 1);
  await client.stop();
});

Deno.test("a stream that the executor closed while idle is replaced without an error", async () => {
  const { model, client, ends } = setUp();
  for (let i = 0; i < 2; i++) {
    const started = model.nextRun;
    const answer = client.ask(executor, ask());
    (await started).end();
    await answer.receipt;
    ends[0]!.abort(new Error("idle"));
  }
  assert.equal(ends.length, 2);
  await client.stop();
});

Deno.test("a request that is cancelled before it is asked leaves the kept stream to the next", async () => {
  const { model, client, ends } = setUp();
  for (let i = 0; i < 2; i++) {
    const started = model.nextRun;
    const answer = client.ask(executor, ask());
    (await started).end();
    await answer.receipt;
    const cancelled = client.ask(executor, ask(), AbortSignal.abort());
    assert.equal(await codeOf(cancelled.receipt), "aborted");
  }
  assert.equal(ends.length, 1);
  await client.stop();
});

Deno.test("a cancel with nothing to cancel does not keep a stream from being idle", async () => {
  let armed = 0;
  let disarmed = 0;
  const { connect } = setUp(undefined, {
    clock: {
      now: clock.now,
      setTimer() {
        armed++;
        return () => disarmed++;
      },
    },
  });
  const stream = connect();
  for (let i = 0; i < 5; i++) stream.send(encodeCancel());
  while (stream.unread > 0) await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual([armed, disarmed], [1, 0]);
  await stream.close();
  assert.equal(await stream.next(), undefined);
});

Deno.test("large requests are refused while those being served take all the room", async () => {
  const budget = new ByteBudget({ totalBytes: 50_000, peerBytes: 50_000 });
  const { model, client } = setUp(undefined, { budget });
  const long = { role: "user", content: "a".repeat(30_000) } as const;
  const large: InferRequest = {
    ...ask(),
    body: bytes(JSON.stringify({ model: "m", messages: [long] })),
  };
  const started = model.nextRun;
  const first = client.ask(executor, large);
  const run = await started;
  assert.equal(budget.used, large.body.length);
  assert.equal(await codeOf(client.ask(executor, large).receipt), "overloaded");
  assert.equal(budget.used, large.body.length);
  run.end();
  await first.receipt;
  assert.equal(budget.used, 0);
  const again = model.nextRun;
  const second = client.ask(executor, large);
  (await again).end();
  await second.receipt;
  await client.stop();
});

Deno.test("one client may ask 64 at once, and leaves room for others when no more fit", async () => {
  const stranger = createSigner(noblePrimitives, {}, new Uint8Array(32).fill(3));
  for (const [maxRequests, share] of [[4, 3], [80, 60], [100, 64], [320, 80]] as const) {
    const { model, connect } = setUp(undefined, {}, { maxRequests });
    const askFrom = async (signer: typeof clientSigner) => {
      const near = connect(signer.address);
      near.send(await openFrame({}, signer));
      return { near, first: await reply(near) };
    };
    const asked = [];
    for (let i = 0; i < share; i++) asked.push(await askFrom(clientSigner));
    assert.ok(asked.every(({ first }) => first?.type === "accept"));
    const refused = await askFrom(clientSigner);
    assert.ok(refused.first?.type === "reject" && refused.first.error.code === "overloaded");
    const other = await askFrom(stranger);
    assert.equal(other.first?.type, "accept");
    assert.equal(model.runs.at(-1)!.job.client, stranger.address);
    // What has ended counts no more.
    model.runs[0]!.end();
    assert.equal((await reply(asked[0]!.near))?.type, "receipt");
    const again = await askFrom(clientSigner);
    assert.equal(again.first?.type, "accept");
    for (const { near } of [...asked, refused, other, again]) near.abort(new Error("done"));
    for (const run of model.runs.slice(1)) run.end();
  }
});

Deno.test("a backend that fails before its first token rejects, and the stream stays usable", async () => {
  const { model, client, ends } = setUp();
  const started = model.nextRun;
  const answer = client.ask(executor, ask());
  (await started).fail("backend_unauthorized");
  assert.equal(await codeOf(readAll(answer)), "backend_unauthorized");
  const again = model.nextRun;
  const second = client.ask(executor, ask());
  (await again).end();
  await second.receipt;
  assert.equal(ends.length, 1);
  await client.stop();
});

Deno.test("a backend that fails in mid-stream ends in a signed partial receipt, and reading throws", async () => {
  const { model, client } = setUp();
  const started = model.nextRun;
  const answer = client.ask(executor, ask());
  const reading = codeOf(readAll(answer));
  const run = await started;
  run.say("one");
  run.end({ code: "backend_truncated", message: "read backend: it stopped" });
  assert.equal(await reading, "backend_truncated");
  const { response, trailer } = await answer.receipt;
  assert.equal(response.commitment.success, false);
  assert.equal(trailer.completionTokens, 1);
  await client.stop();
});

Deno.test("an executor's failure is never told as one of the client's own", async () => {
  const { model, client } = setUp();
  for (const code of ["internal", "budget_exceeded", "config_invalid", "aborted"] as const) {
    const refused = model.nextRun;
    const refusal = codeOf(readAll(client.ask(executor, ask())));
    (await refused).fail(code);
    assert.equal(await refusal, "backend_failed");
    const broken = model.nextRun;
    const reading = codeOf(readAll(client.ask(executor, ask())));
    const run = await broken;
    run.say("one");
    run.end({ code, message: "answer: no" });
    assert.equal(await reading, "backend_failed");
  }
  await client.stop();
});

Deno.test("a stream cut in mid-answer is an error, never a short success", async () => {
  const { model, client, ends } = setUp();
  const started = model.nextRun;
  const answer = client.ask(executor, ask());
  const reading = codeOf(readAll(answer));
  const run = await started;
  run.say("one");
  ends[0]!.abort(new Error("cut"));
  assert.equal(await reading, "stream_broken");
  assert.equal(await codeOf(answer.receipt), "stream_broken");
  assert.equal((await run.cancelled).code, "stream_broken");
  await client.stop();
});

Deno.test("cancelling stops the model and yields the receipt for what was delivered", async () => {
  const { model, client, served } = setUp();
  const abort = new AbortController();
  const started = model.nextRun;
  const answer = client.ask(executor, ask(), abort.signal);
  const run = await started;
  run.say("one");
  const lines = answer[Symbol.asyncIterator]();
  assert.equal(text((await lines.next()).value!), "one\n");
  abort.abort();
  const reason = await run.cancelled;
  assert.equal(reason.code, "aborted");
  run.end(reason);
  assert.equal(await codeOf(lines.next()), "aborted");
  const receipt = await answer.receipt;
  assert.equal(receipt.trailer.finish, "cancelled");
  assert.equal(receipt.cancelled?.code, "aborted");
  assert.equal(served[0]?.response?.commitment.success, false);
  await client.stop();
});

Deno.test("leaving the iteration cancels the request", async () => {
  const { model, client } = setUp();
  const started = model.nextRun;
  const answer = client.ask(executor, ask());
  const run = await started;
  run.say("one");
  for await (const _ of answer) break;
  const reason = await run.cancelled;
  run.end(reason);
  assert.equal((await answer.receipt).trailer.finish, "cancelled");
  await client.stop();
});

Deno.test("a client that vanishes stops the model, and the executor still signs for its records", async () => {
  const { model, connect, served } = setUp();
  const near = connect();
  const started = model.nextRun;
  near.send(await openFrame());
  const run = await started;
  run.say("one");
  near.abort(new Error("gone"));
  run.end(await run.cancelled);
  while (served.length === 0) await Promise.resolve();
  assert.equal(served[0]?.response?.commitment.outboundTokens, 1);
});

Deno.test("a reader that stalls pauses the model, and reading on resumes it", async () => {
  const { model, connect } = setUp(4);
  const near = connect();
  const started = model.nextRun;
  near.send(await openFrame());
  const run = await started;
  for (let i = 0; i < 8; i++) run.say("line");
  assert.ok(run.paused);
  for (let i = 0; i < 9; i++) await near.next();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(run.paused, false);
  near.abort(new Error("enough"));
  run.end(await run.cancelled);
});

Deno.test("stopping lets what is under way finish, and takes no more", async () => {
  const { model, client, server } = setUp();
  const started = model.nextRun;
  const answer = client.ask(executor, ask());
  const run = await started;
  const stopped = server.stop(10_000);
  const late = client.ask(executor, ask());
  assert.equal(await codeOf(late.receipt), "shutting_down");
  run.end();
  await answer.receipt;
  await stopped;
  await client.stop();
});

Deno.test("stopping with no time left ends what is under way with a partial receipt", async () => {
  const { model, client, server } = setUp();
  const started = model.nextRun;
  const answer = client.ask(executor, ask());
  const run = await started;
  run.say("one");
  const stopped = server.stop(0);
  const reason = await run.cancelled;
  assert.equal(reason.code, "shutting_down");
  run.end(reason);
  assert.equal((await answer.receipt).response.commitment.success, false);
  await stopped;
  await client.stop();
});

// What a hostile client may send

async function openFrame(
  change: Partial<RequestDraft> = {},
  signer = clientSigner,
): Promise<Uint8Array> {
  const { body, draft } = ask();
  const salt = new Uint8Array(32);
  const request = await signer.signRequest({ ...draft(), ...change }, body, salt, "");
  return encodeOpen({ body, salt, request });
}

async function reply(stream: MessageStream): Promise<ExecutorFrame | undefined> {
  const message = await stream.next();
  return message && decodeExecutorFrame(message);
}

async function refusal(message: Uint8Array): Promise<ErrorCode | undefined> {
  const { connect, model } = setUp();
  const near = connect();
  near.send(message);
  const frame = await reply(near);
  assert.equal(model.runs.length, 0, "the model was not asked");
  near.abort(new Error("done"));
  assert.ok(frame?.type === "reject", `expected a reject, got ${frame?.type}`);
  return frame.error.code;
}

const nowS = () => BigInt(Math.floor(Date.now() / 1000));

for (
  const [name, change, code] of [
    ["for another executor", { executor: clientSigner.address }, "request_invalid"],
    ["for a model that is not served", { model: "none" }, "model_unavailable"],
    ["past its deadline", { deadline: nowS() - 1n }, "request_expired"],
    ["from the future", { deadline: nowS() + 86_400n }, "request_premature"],
    ["that pays for no token", { maxTokens: 0 }, "request_invalid"],
    ["with a price and no channel", { outboundPrice: 1n }, "payment_required"],
    ["free, on a channel", { channelId: `0x${"11".repeat(32)}` }, "request_invalid"],
  ] as const
) {
  Deno.test(`a request ${name} is refused: ${code}`, async () => {
    assert.equal(await refusal(await openFrame(change)), code);
  });
}

Deno.test("a request whose body was changed on the way is refused: request_invalid", async () => {
  const { body, draft } = ask();
  const salt = new Uint8Array(32);
  const request = await clientSigner.signRequest(draft(), body, salt, "");
  const changed = bytes(text(body).replace("hi", "ho"));
  assert.equal(await refusal(encodeOpen({ body: changed, salt, request })), "request_invalid");
});

Deno.test("a request with a malleated signature is refused: signature_invalid", async () => {
  const { body, draft } = ask();
  const salt = new Uint8Array(32);
  const request = await clientSigner.signRequest(draft(), body, salt, "");
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const s = BigInt(toHex(request.signature.slice(32, 64)));
  const high = (order - s).toString(16).padStart(64, "0");
  const signature = request.signature.slice();
  for (let i = 0; i < 32; i++) signature[32 + i] = parseInt(high.slice(2 * i, 2 * i + 2), 16);
  signature[64]! ^= 1;
  const code = await refusal(encodeOpen({ body, salt, request: { ...request, signature } }));
  assert.equal(code, "signature_invalid");
});

Deno.test("a request signed by another than its sender is refused: signer_mismatch", async () => {
  const stranger = createSigner(noblePrimitives, {}, new Uint8Array(32).fill(3));
  assert.equal(await refusal(await openFrame({}, stranger)), "signer_mismatch");
});

Deno.test("the same request twice is refused the second time: request_replayed", async () => {
  const { connect, model } = setUp();
  const message = await openFrame();
  const first = connect();
  const started = model.nextRun;
  first.send(message);
  (await started).end();
  assert.equal((await reply(first))?.type, "accept");
  const second = connect();
  second.send(message);
  const frame = await reply(second);
  assert.ok(frame?.type === "reject");
  assert.equal(frame.error.code, "request_replayed");
  for (const stream of [first, second]) stream.abort(new Error("done"));
});

Deno.test("what is no frame is refused with a code, and the stream ends", async () => {
  const { connect } = setUp();
  const near = connect();
  near.send(new Uint8Array([0xff, 0x00]));
  const frame = await reply(near);
  assert.ok(frame?.type === "reject");
  assert.equal(frame.error.code, "frame_malformed");
  assert.equal(await near.next(), undefined);
});

Deno.test("a second request before the first has ended breaks the stream and stops the model", async () => {
  const { connect, model } = setUp();
  const near = connect();
  const started = model.nextRun;
  near.send(await openFrame());
  const run = await started;
  near.send(await openFrame());
  assert.equal((await run.cancelled).code, "protocol_violation");
  run.fail("aborted");
  assert.equal((await reply(near).catch((error) => error)).code, "stream_broken");
});

Deno.test("a cancel with nothing under way is ignored", async () => {
  const { connect, model } = setUp();
  const near = connect();
  near.send(encodeCancel());
  const started = model.nextRun;
  near.send(await openFrame());
  (await started).end();
  assert.equal((await reply(near))?.type, "accept");
  assert.equal((await reply(near))?.type, "receipt");
  near.abort(new Error("done"));
});
