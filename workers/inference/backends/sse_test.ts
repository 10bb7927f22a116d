import assert from "node:assert/strict";
import fc from "fast-check";
import { type SseEvent, SseParser } from "./sse.ts";

const encoder = new TextEncoder();

function parse(chunks: Iterable<Uint8Array>, maxEventChars = 1 << 20): SseEvent[] {
  const parser = new SseParser(maxEventChars);
  const events: SseEvent[] = [];
  for (const chunk of chunks) events.push(...parser.push(chunk));
  return [...events, ...parser.finish()];
}

const parseText = (text: string): SseEvent[] => parse([encoder.encode(text)]);
const data = (events: SseEvent[]): string[] => events.map((event) => event.data);

Deno.test("one leading space after data: is dropped, and only one", () => {
  assert.deepEqual(data(parseText("data:a\n\ndata: b\n\ndata:  c\n\n")), ["a", "b", " c"]);
});

Deno.test("lines end with LF, CRLF or CR, also mixed", () => {
  assert.deepEqual(data(parseText("data:a\r\n\r\ndata:b\r\rdata:c\n\ndata:d\r\n\n")), [
    "a",
    "b",
    "c",
    "d",
  ]);
});

Deno.test("comments, keep-alives, ids and unknown fields yield nothing", () => {
  assert.deepEqual(parseText(": ping\n\n:\n\nid: 1\nretry: 5\nwhat\n\nevent: x\n\n"), []);
});

Deno.test("several data lines make one event; names are kept for one event only", () => {
  assert.deepEqual(parseText("event: e\ndata: a\ndata\ndata: b\n\ndata: c\n\n"), [
    { name: "e", data: "a\n\nb" },
    { name: "message", data: "c" },
  ]);
});

Deno.test("an error: field is an event named error", () => {
  assert.deepEqual(parseText('error: {"code":500}\n\n'), [{ name: "error", data: '{"code":500}' }]);
});

Deno.test("a CRLF cut between its two bytes is one line end", () => {
  const chunks = ["data: a\r", "\ndata: b\r", "\n\r", "\n"].map((part) => encoder.encode(part));
  assert.deepEqual(data(parse(chunks)), ["a\nb"]);
});

Deno.test("the end of the stream completes an event whose blank line is missing", () => {
  assert.deepEqual(data(parseText("data: a\n\ndata: [DONE]")), ["a", "[DONE]"]);
});

Deno.test("bytes that are not UTF-8 are malformed, a stream cut inside a character is truncated", () => {
  assert.throws(() => parse([Uint8Array.of(0x64, 0xff)]), { code: "backend_malformed" });
  assert.throws(() => parse([encoder.encode("data: é").subarray(0, -1)]), {
    code: "backend_truncated",
  });
});

Deno.test("an event above the bound is refused, in one line, in many, and in many chunks", () => {
  const long = "x".repeat(100);
  const malformed = { code: "backend_malformed" };
  assert.throws(() => parse([encoder.encode(`data: ${long}\n\n`)], 90), malformed);
  assert.throws(() => parse([encoder.encode("data: xxxxxxxxxx\n".repeat(20))], 90), malformed);
  const pieces = Array.from({ length: 100 }, () => encoder.encode("y"));
  assert.throws(() => parse(pieces, 90), malformed);
  const many = encoder.encode(`data: ${"x".repeat(80)}\n\n`.repeat(100));
  assert.equal(parse([many], 90).length, 100);
});

Deno.test("any chunking gives the same events", () => {
  const piece = fc.constantFrom(
    "data: ",
    "data:",
    "event: e",
    "error: ",
    ": c",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "é",
    "好",
    "😀",
    "x",
    ":",
    " ",
    "[DONE]",
    "\ufeff",
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }),
      fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 20 }),
      (pieces, sizes) => {
        const bytes = encoder.encode(pieces.join(""));
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          // A size of 0 is an empty chunk; the last size is made to advance.
          const size = i < sizes.length ? sizes[i]! : 1;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(parse(chunks), parse([bytes]));
      },
    ),
    { numRuns: 1000 },
  );
});

Deno.test("what a plain encoder writes is read back", () => {
  const line = fc.string({ unit: "grapheme" }).map((text) => text.replace(/[\r\n]/g, ""));
  fc.assert(
    fc.property(fc.array(fc.array(line, { minLength: 1, maxLength: 3 })), (events) => {
      const text = events.map((lines) => lines.map((l) => `data: ${l}\n`).join("") + "\n").join("");
      assert.deepEqual(data(parseText(text)), events.map((lines) => lines.join("\n")));
    }),
  );
});

Deno.test("a large event in small chunks takes a number of steps linear in its size", () => {
  // Quadratic work on 4 MB in 64-byte chunks would be 10^11 steps: it would not end.
  const body = encoder.encode(`data: ${"x".repeat(4 << 20)}\n\n`);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += 64) chunks.push(body.subarray(at, at + 64));
  assert.equal(parse(chunks, 8 << 20)[0]?.data.length, 4 << 20);
});
