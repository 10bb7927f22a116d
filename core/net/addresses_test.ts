import assert from "node:assert/strict";
import { multiaddr } from "@multiformats/multiaddr";
import { LloomError } from "../errors.ts";
import { areLoopback, hostOf, isLoopback } from "./addresses.ts";

const HERE = [
  "/ip4/127.0.0.1/tcp/1",
  "/ip4/127.8.9.10/tcp/1/ws",
  "/ip6/::1/tcp/1",
  "/ip6/0:0:0:0:0:0:0:1/tcp/1",
  "/ip6/::ffff:127.0.0.1/tcp/1",
  "/dns4/localhost/tcp/1",
  "/dns/LocalHost/tcp/1",
];
const ELSEWHERE = [
  "/ip4/192.0.2.1/tcp/1",
  "/ip4/0.0.0.0/tcp/1",
  "/ip6/::/tcp/1",
  "/ip6/::2/tcp/1",
  "/ip6/::ffff:192.0.2.1/tcp/1",
  "/ip6/1::7f00:1/tcp/1",
  "/dns4/localhost.example/tcp/1",
  "/dnsaddr/localhost",
  "/ip6zone/lo/ip6/::1/tcp/1",
];

Deno.test("only addresses of this machine are loopback, however they are written", async () => {
  for (const address of HERE) {
    assert.equal(isLoopback(multiaddr(address)), true, address);
    assert.equal(hostOf(multiaddr(address)), undefined, address);
  }
  for (const address of ELSEWHERE) {
    assert.equal(isLoopback(multiaddr(address)), false, address);
    assert.equal(await areLoopback([...HERE, address]), false, address);
  }
  assert.equal(await areLoopback(HERE), true);
  assert.equal(await areLoopback([]), true);
});

Deno.test("an address in a setting that is none is config_invalid", async () => {
  await assert.rejects(
    areLoopback(["/ip4/127.0.0.1", "localhost:4001"]),
    (error) => error instanceof LloomError && error.code === "config_invalid",
  );
});

Deno.test("a host is an IPv4 address or an IPv6 network of 64 bits", () => {
  const host = (text: string) => hostOf(multiaddr(text));
  assert.equal(host("/ip4/192.0.2.1/tcp/1"), host("/ip4/192.0.2.1/tcp/2/ws"));
  assert.equal(host("/ip4/192.0.2.1/tcp/1"), host("/ip6/::ffff:192.0.2.1/tcp/1"));
  assert.notEqual(host("/ip4/192.0.2.1/tcp/1"), host("/ip4/192.0.2.2/tcp/1"));
  assert.equal(host("/ip6/2001:db8::1/tcp/1"), host("/ip6/2001:db8:0:0:9:8:7:6/tcp/1"));
  assert.notEqual(host("/ip6/2001:db8::1/tcp/1"), host("/ip6/2001:db8:0:1::1/tcp/1"));
  assert.equal(host("/dns4/example.com/tcp/1"), undefined);
});
