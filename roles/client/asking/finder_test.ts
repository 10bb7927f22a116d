import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import type { Directory } from "@lloom/core/net";
import { Registry, type RegistryEntry } from "@lloom/core/registry";
import { executor } from "../../../tests/support/executor.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { Finder } from "./finder.ts";

/** A directory whose searches end when the test says so. */
function setUp(peers = 1) {
  const clock = new ManualClock();
  const registry = new Registry({}, { clock });
  const searches: PromiseWithResolvers<readonly RegistryEntry[]>[] = [];
  const directory: Pick<Directory, "find"> = {
    find: (_, signal) => {
      const search = Promise.withResolvers<readonly RegistryEntry[]>();
      signal.addEventListener("abort", () => search.reject(signal.reason));
      searches.push(search);
      return search.promise;
    },
  };
  const finder = new Finder(10_000, { directory, registry, clock, peers: () => peers });
  const found = async () => {
    const one = executor();
    const announcement = one.announcement({ timestamp: clock.now() });
    registry.apply(await one.sign(announcement), announcement);
    searches.at(-1)!.resolve([...registry.entries()]);
  };
  return { clock, searches, finder, found };
}

Deno.test("all who look at the same time share one search", async () => {
  const { searches, finder, found } = setUp();
  const all = Promise.all(Array.from({ length: 64 }, () => finder.find("model")));
  await found();
  await all;
  assert.equal(searches.length, 1);
  await finder.find("model");
  assert.equal(searches.length, 1);
});

Deno.test("who is known serves on while it is looked for anew", async () => {
  const { clock, searches, finder, found } = setUp();
  const first = finder.find("model");
  await found();
  await first;
  clock.advance(10_000);
  await finder.find("model"); // does not wait: nobody ends the second search
  assert.equal(searches.length, 2);
});

Deno.test("one who gives up ends nobody else's search", async () => {
  const { finder, found } = setUp();
  const impatient = new AbortController();
  const [given, waiting] = [finder.find("model", impatient.signal), finder.find("model")];
  impatient.abort();
  await assert.rejects(given, { code: "aborted" });
  await found();
  await waiting;
});

Deno.test("a search that finds nobody is repeated, and says so where there is nobody to ask", async () => {
  const { searches, finder } = setUp(0);
  const first = finder.find("model");
  searches[0]!.resolve([]);
  await assert.rejects(first, { code: "peer_unreachable" });
  const second = finder.find("model");
  searches[1]!.reject(new LloomError("timeout", "find: time is up"));
  await assert.rejects(second, { code: "timeout" });
});

Deno.test("closing ends a search that nobody waits for", async () => {
  const { clock, finder, found, searches } = setUp();
  const first = finder.find("model");
  await found();
  await first;
  clock.advance(10_000);
  await finder.find("model");
  finder.stop();
  await assert.rejects(searches[1]!.promise, { code: "aborted" });
  assert.equal(clock.armed, 0);
});
