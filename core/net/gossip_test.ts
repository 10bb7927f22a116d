import assert from "node:assert/strict";
import { type ErrorCode, LloomError } from "../errors.ts";
import { GOSSIP_MESSAGES, MAX_SIGNED_ANNOUNCEMENT_BYTES } from "../protocol/limits.ts";
import type { LloomNode } from "./node.ts";
import type { Verdict } from "./options.ts";
import { NETWORK_TEST, TestNetwork, until } from "./test_network.ts";

function hasCode(code: ErrorCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LloomError && thrown.code === code;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (announcement: Uint8Array): string => new TextDecoder().decode(announcement);

/** Until a node would be heard by `count` peers. */
async function heardBy(node: LloomNode, count: number): Promise<void> {
  await until(
    () => node.announcementPeers().length >= count,
    (listener) => node.onAnnouncementPeer(listener),
  );
}

/** Three nodes in a line. The one in the middle judges by an announcement's first word. */
class Line {
  /** What the middle judged, and from whom it had it. */
  readonly judged: [string, string][] = [];
  /** What came to the far end. */
  readonly arrived: string[] = [];
  #changed = Promise.withResolvers<void>();

  private constructor(readonly maker: LloomNode, readonly middle: LloomNode, far: LloomNode) {
    middle.onAnnouncement(async (announcement, from) => {
      await Promise.resolve();
      const message = text(announcement);
      this.judged.push([message, from]);
      this.#change();
      if (message === "throw") throw new Error("the validator failed");
      return message.split(" ")[0] as Verdict;
    });
    far.onAnnouncement((announcement) => {
      this.arrived.push(text(announcement));
      this.#change();
      return "accept";
    });
  }

  static async make(network: TestNetwork): Promise<Line> {
    const middle = await network.node({ gossip: true });
    const options = { gossip: true, listen: [], bootstrap: middle.multiaddrs() };
    const line = new Line(await network.node(options), middle, await network.node(options));
    await Promise.all([heardBy(line.maker, 1), heardBy(middle, 2)]);
    // The middle forwards to the far end from the moment it chose it as a neighbour.
    for (let i = 0; line.arrived.length === 0; i++) {
      await line.maker.publish(bytes(`accept ${i}`));
      await line.until(() => line.judged.length > i);
    }
    await line.until(() => line.arrived.length > 0);
    line.judged.length = line.arrived.length = 0;
    return line;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

Deno.test({
  name: "an announcement goes on to others only if the node that has it accepted it",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const line = await Line.make(network);
    const sent = ["ignore", "throw", "reject", "accept last"];
    for (const message of sent) assert.equal(await line.maker.publish(bytes(message)), 1);
    await line.until(() => line.arrived.includes("accept last"));
    assert.deepEqual(line.arrived.filter((message) => sent.includes(message)), ["accept last"]);
    assert.deepEqual(
      line.judged,
      sent.map((message) => [message, line.maker.peerId]),
    );
  },
});

Deno.test({
  name: "a peer that passes on what must be rejected is unheard before long",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const line = await Line.make(network);
    // It is heard for a second more, in which its standing is not asked again.
    let unheard = false;
    for (let i = 0; !unheard; i++) {
      assert.ok(i < 400, "still heard after 400 rejections");
      await line.maker.publish(bytes(`reject ${i}`));
      const heard = line.until(() => line.judged.length > i).then(() => true);
      unheard = !await Promise.race([heard, roundTrips(line, 20).then(() => false)]);
    }
    assert.ok(line.judged.length >= 3);
    assert.ok(line.arrived.every((message) => message.startsWith("accept")));
  },
});

Deno.test({
  name: "of a flood of announcements only a burst is looked at",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const line = await Line.make(network);
    const { burst, perSecond } = GOSSIP_MESSAGES;
    const startMs = performance.now();
    for (let i = 0; i < 4 * burst; i++) {
      await line.maker.publish(bytes(`ignore ${i}`));
      if (i % 100 === 0) await roundTrips(line, 1);
    }
    await roundTrips(line, 20);
    const seconds = (performance.now() - startMs) / 1000;
    assert.ok(line.judged.length >= burst - 100, String(line.judged.length));
    assert.ok(line.judged.length <= burst + perSecond * seconds + 1, String(line.judged.length));
  },
});

/** So many exchanges with the middle: far longer than an announcement takes. */
async function roundTrips(line: Line, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await line.maker.openStream({ peerId: line.middle.peerId }, "/lloom/none/1.0.0", {
      maxFrameBytes: 1,
    }).catch((error: LloomError) => assert.equal(error.code, "peer_unreachable"));
  }
}

Deno.test({
  name: "an announcement is published within its limit, once, and only with gossip on",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const node = await network.node({ gossip: true });
    await assert.rejects(
      node.publish(new Uint8Array(MAX_SIGNED_ANNOUNCEMENT_BYTES + 1)),
      hasCode("frame_too_large"),
    );
    assert.equal(await node.publish(bytes("alone")), 0);
    assert.equal(await node.publish(bytes("alone")), 0);
    const silent = await network.node();
    await assert.rejects(silent.publish(bytes("silent")), hasCode("config_invalid"));
  },
});
