import assert from "node:assert/strict";
import fc from "fast-check";
import { StopFilter } from "./stop_filter.ts";

/** What comes out of a filter, piece by piece. */
function pass(
  stops: readonly string[],
  parts: readonly string[],
): { out: string[]; stopped: boolean } {
  const filter = new StopFilter(stops);
  const out = parts.map((part) => filter.push(part));
  out.push(filter.end());
  return { out, stopped: filter.stopped };
}

const short = fc.string({ unit: fc.constantFrom("a", "b", "🙂"), maxLength: 6 });

Deno.test("text is cut where the first stop string begins, however it is split", () => {
  fc.assert(
    fc.property(fc.array(short, { maxLength: 4 }), fc.array(short), (stops, parts) => {
      const whole = parts.join("");
      const found = stops.filter((stop) => stop !== "").map((stop) => whole.indexOf(stop))
        .filter((at) => at >= 0);
      const { out, stopped } = pass(stops, parts);
      assert.equal(stopped, found.length > 0);
      // Which of two overlapping ones comes first can depend on the split: the one complete first.
      const text = out.join("");
      assert.ok(whole.startsWith(text));
      if (!stopped) assert.equal(text, whole);
      else assert.ok(stops.some((stop) => stop !== "" && whole.startsWith(stop, text.length)));
      for (const stop of stops) if (stop !== "") assert.ok(!text.includes(stop));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("only what may begin a stop string is held back", () => {
  assert.deepEqual(pass(["\nUser:"], ["one\n", "User", " two", "\n\nUser", ":", "x"]), {
    out: ["one", "", "\nUser two", "\n", "", "", ""],
    stopped: true,
  });
  assert.deepEqual(pass(["abc"], ["ab"]), { out: ["", "ab"], stopped: false });
});

Deno.test("empty and malformed stop strings never match", () => {
  assert.deepEqual(pass(["", "\ud83d", "\ude42"], ["🙂"]), { out: ["🙂", ""], stopped: false });
});
