import assert from "node:assert/strict";
import { Bootstrapper } from "./bootstrap.ts";
import type { Clock } from "../ports.ts";
import { BOOTSTRAP_RETRY_MS } from "../protocol/limits.ts";

/** A clock whose one timer fires when told to. */
class ManualClock implements Clock {
  readonly pauses: number[] = [];
  #fire: (() => void) | undefined;

  now(): number {
    return 0;
  }

  setTimer(ms: number, fire: () => void): () => void {
    assert.equal(this.#fire, undefined, "one timer at a time");
    this.pauses.push(ms);
    this.#fire = fire;
    return () => this.#fire = undefined;
  }

  get armed(): boolean {
    return this.#fire !== undefined;
  }

  fire(): void {
    const fire = this.#fire;
    this.#fire = undefined;
    fire?.();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

class Network {
  readonly clock = new ManualClock();
  readonly dialled: string[] = [];
  reachable = false;
  connected = false;
  readonly bootstrapper = new Bootstrapper(["a", "b"], {
    clock: this.clock,
    isConnected: () => this.connected,
    dial: (address) => {
      this.dialled.push(address);
      if (!this.reachable) return Promise.reject(new Error("unreachable"));
      this.connected = true;
      return Promise.resolve();
    },
  });
}

Deno.test("bootstrap dials every address once and then rests while connected", async () => {
  const network = new Network();
  network.reachable = true;
  network.bootstrapper.start();
  await settle();
  assert.deepEqual(network.dialled, ["a", "b"]);
  assert.equal(network.clock.armed, false);
  network.bootstrapper.onDisconnected();
  assert.equal(network.clock.armed, false, "another connection is still open");
  await network.bootstrapper.stop();
});

Deno.test("bootstrap tries again with growing, bounded pauses until it is connected", async () => {
  const network = new Network();
  network.bootstrapper.start();
  for (let i = 0; i < 12; i++) {
    await settle();
    assert.ok(network.clock.armed);
    network.clock.fire();
  }
  await settle();
  const { pauses } = network.clock;
  pauses.forEach((pause, i) => {
    const middle = Math.min(BOOTSTRAP_RETRY_MS.first * 2 ** i, BOOTSTRAP_RETRY_MS.longest);
    assert.ok(pause >= 0.75 * middle && pause <= 1.25 * middle, `${i}: ${pause}`);
  });
  network.reachable = true;
  network.clock.fire();
  await settle();
  assert.equal(network.clock.armed, false);
  await network.bootstrapper.stop();
});

Deno.test("bootstrap begins anew, with the first pause, when the last connection is lost", async () => {
  const network = new Network();
  network.reachable = true;
  network.bootstrapper.start();
  await settle();
  network.connected = false;
  network.bootstrapper.onDisconnected();
  network.bootstrapper.onDisconnected();
  assert.equal(network.clock.pauses.length, 1);
  assert.ok(network.clock.pauses[0]! <= 1.25 * BOOTSTRAP_RETRY_MS.first);
  network.clock.fire();
  await settle();
  assert.equal(network.dialled.length, 4);
  await network.bootstrapper.stop();
});

Deno.test("a stopped bootstrapper dials no more", async () => {
  const network = new Network();
  network.bootstrapper.start();
  await settle();
  await network.bootstrapper.stop();
  assert.equal(network.clock.armed, false);
  network.bootstrapper.onDisconnected();
  assert.equal(network.clock.armed, false);
});
