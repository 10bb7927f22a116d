import assert from "node:assert/strict";
import { SqliteResponseStore, type StoredResponse } from "./sqlite_response_store.ts";

const stored = (id: string, createdS = 1, more: Partial<StoredResponse> = {}): StoredResponse => ({
  id,
  createdS,
  response: `{"id":"${id}"}`,
  input: "[]",
  ...more,
});

function withPath(body: (path: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    body(`${folder}/sub/responses.sqlite`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("responses are kept across restarts, replaced, and forgotten on demand", () => {
  withPath((path) => {
    const first = new SqliteResponseStore(path);
    const full = stored("b", 2, { previousId: "a", job: "{}", callbackUrl: "http://x/" });
    first.put(stored("a"), 1);
    first.put(full, 1);
    first.put(stored("a", 1, { input: "[1]" }), 1);
    first.close();
    const second = new SqliteResponseStore(path);
    assert.deepEqual(second.get("a"), stored("a", 1, { input: "[1]" }));
    assert.deepEqual(second.get("b"), full);
    assert.deepEqual(second.unfinished(), ["b"]);
    assert.equal(second.delete("a"), true);
    assert.equal(second.delete("a"), false);
    assert.equal(second.get("a"), undefined);
    second.close();
  });
});

Deno.test("beyond count, bytes or age the oldest go, but none that is still to be made or told of", () => {
  withPath((path) => {
    const store = new SqliteResponseStore(path, { maxCount: 3, maxBytes: 1000, maxAgeS: 100 });
    store.put(stored("job", 0, { job: "{}" }), 1);
    store.put(stored("call", 0, { callbackUrl: "http://x/" }), 1);
    for (const [i, id] of ["a", "b", "c"].entries()) store.put(stored(id, 1 + i), 3);
    const kept = () => ["job", "call", "a", "b", "c", "d", "e"].filter((id) => store.get(id));
    assert.deepEqual(kept(), ["job", "call", "c"]);
    store.put(stored("d", 4, { input: "x".repeat(500) }), 4);
    // Alone it is above the bound: it goes with all others.
    assert.deepEqual(kept(), ["job", "call"]);
    store.put(stored("e", 5), 106);
    assert.deepEqual(kept(), ["job", "call"]);
    store.close();
  });
});

Deno.test("more than fits is not accepted to be made, and nothing is forgotten for it", () => {
  withPath((path) => {
    const store = new SqliteResponseStore(path, { maxCount: 1000, maxBytes: 10_000, maxAgeS: 100 });
    for (let i = 0; i < 150; i++) store.put(stored(`${i}`), 1);
    const job = (length: number) => ({ job: "x".repeat(length) });
    assert.throws(() => store.put(stored("large", 2, job(5000)), 2), { code: "overloaded" });
    assert.ok(store.get("0") && !store.get("large"));
    // What is over makes room, however much of it there is.
    store.put(stored("first", 2, job(4000)), 2);
    store.put(stored("second", 2, job(900)), 2);
    assert.equal(store.get("0"), undefined);
    assert.throws(() => store.put(stored("third", 2, job(900)), 2), { code: "overloaded" });
    // What was accepted, and what came of it, is kept in any case.
    store.put(stored("second", 2, job(1900)), 2);
    store.put(stored("first", 2, { response: "x".repeat(6000), callbackUrl: "http://x/" }), 2);
    assert.deepEqual(store.unfinished(), ["first", "second"]);
    store.close();
  });
});

Deno.test("what is counted stays right across replacing, restarts and refusals", () => {
  withPath((path) => {
    const bounds = { maxCount: 2, maxBytes: 1000, maxAgeS: 100 };
    const first = new SqliteResponseStore(path, bounds);
    for (let i = 0; i < 10; i++) first.put(stored("a", 1, { input: "x".repeat(200) }), 1);
    assert.ok(first.get("a"));
    first.close();
    const second = new SqliteResponseStore(path, bounds);
    second.put(stored("b", 2), 2);
    assert.ok(second.get("a") && second.get("b"));
    second.put(stored("c", 3), 3);
    assert.deepEqual(["a", "b", "c"].filter((id) => second.get(id)), ["b", "c"]);
    second.close();
  });
});
