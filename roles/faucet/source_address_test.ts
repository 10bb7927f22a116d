import assert from "node:assert/strict";
import fc from "fast-check";
import { sourceOf } from "./source_address.ts";

Deno.test("an IPv6 address counts for its /64, however it is written", () => {
  const spellings = ["2001:db8:1:2::9", "2001:0DB8:1:2:3:4:5:6", "2001:db8:1:2:ffff::"];
  for (const text of spellings) assert.equal(sourceOf(text, null, []), "2001:db8:1:2::/64", text);
  assert.equal(sourceOf("::1", null, []), "0:0:0:0::/64");
  assert.equal(sourceOf("fe80::1%eth0", null, []), "fe80:0:0:0::/64");
  assert.notEqual(sourceOf("2001:db8:1:3::9", null, []), "2001:db8:1:2::/64");
});

Deno.test("an IPv4 address counts for itself, mapped into IPv6 too", () => {
  assert.equal(sourceOf("192.0.2.7", null, []), "192.0.2.7");
  assert.equal(sourceOf("::ffff:192.0.2.7", null, []), "192.0.2.7");
  assert.equal(sourceOf("::ffff:c000:207", null, []), "192.0.2.7");
});

Deno.test("X-Forwarded-For is believed from trusted proxies only, and from the right", () => {
  const forwarded = "6.6.6.6, 203.0.113.5, 10.0.0.2";
  assert.equal(sourceOf("192.0.2.7", forwarded, []), "192.0.2.7");
  assert.equal(sourceOf("192.0.2.7", forwarded, ["10.0.0.1"]), "192.0.2.7");
  assert.equal(sourceOf("10.0.0.1", forwarded, ["10.0.0.1", "10.0.0.2"]), "203.0.113.5");
  assert.equal(sourceOf("::ffff:10.0.0.1", forwarded, ["10.0.0.1"]), "10.0.0.2");
  assert.equal(sourceOf("::1", "2001:db8::5", ["0:0:0:0:0:0:0:1"]), "2001:db8:0:0::/64");
});

Deno.test("a proxy that passes on nothing of use is counted itself", () => {
  for (const header of [null, "", "unknown", "1.2.3.4:5678", "999.1.1.1", "a,b,", "<script>"]) {
    assert.equal(sourceOf("10.0.0.1", header, ["10.0.0.1"]), "10.0.0.1", String(header));
  }
  assert.equal(sourceOf("10.0.0.1", "10.0.0.1,".repeat(5000), ["10.0.0.1"]), "10.0.0.1");
});

Deno.test("any header ends in a short source", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (remote, header) => {
    assert.ok(sourceOf(remote, header, [remote]).length < 50);
  }));
});
