import assert from "node:assert/strict";
import { generateIdentity } from "@lloom/core/identity";
import { startCryptoWorkers } from "./crypto_workers.ts";

const identity = generateIdentity();
const fields = { peerId: identity.peerId, timestamp: 1n, sequence: 1n };
const body = new Uint8Array(10);

Deno.test("calls made before a worker is up are answered", async () => {
  const workers = startCryptoWorkers({ identity, sandbox: true });
  const signature = await workers.signAnnouncement(fields, body);
  assert.equal(signature.length, 65);
  workers.stop();
});

Deno.test("calls beyond the queue are refused as overloaded until it drains", async () => {
  const workers = startCryptoWorkers({
    identity,
    size: 1,
    sandbox: true,
    maxQueue: 3,
  });
  const calls = Array.from({ length: 3 }, () => workers.signAnnouncement(fields, body));
  await assert.rejects(workers.signAnnouncement(fields, body), { code: "overloaded" });
  await Promise.all(calls);
  assert.equal((await workers.signAnnouncement(fields, body)).length, 65);
  workers.stop();
});

Deno.test("stop fails what is under way, and lets the process end", async () => {
  const workers = startCryptoWorkers({ identity, sandbox: true });
  const call = workers.signAnnouncement(fields, body);
  workers.stop();
  await assert.rejects(call, { code: "shutting_down" });
});
