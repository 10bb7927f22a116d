/** Nodes on this machine, for tests. @module */
import { sha256 } from "@noble/hashes/sha2";
import type { Clock } from "../ports.ts";
import type { LloomNode } from "./node.ts";
import { createNode } from "./node.ts";
import type { NodeComponents, NodeOptions } from "./options.ts";
import type { FrameStream } from "./frame_stream.ts";

/** libp2p leaves timers of up to a second behind, which the test runner would take for leaks. */
export const NETWORK_TEST = { sanitizeOps: false, sanitizeResources: false } as const;
/** A TCP port of the system's choice. */
export const TCP = "/ip4/127.0.0.1/tcp/0";
/** Any protocol. */
export const PROTOCOL = "/lloom/test/1.0.0";

/** The system's time. */
export const CLOCK: Clock = {
  now: Date.now,
  setTimer(ms, fire) {
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  },
};

let made = 0;

/** Nodes that stop with the test: `await using network = new TestNetwork()`. */
export class TestNetwork implements AsyncDisposable {
  readonly #nodes: LloomNode[] = [];

  /** A started node that never leaves this machine. */
  async node(
    options: Partial<NodeOptions> = {},
    components: Partial<NodeComponents> = {},
  ): Promise<LloomNode> {
    const node = await createNode(
      { listen: [TCP], webSockets: false, loopbackOnly: true, ...options },
      {
        privateKey: sha256(new TextEncoder().encode(`test node ${made++}`)),
        clock: CLOCK,
        ...components,
      },
    );
    this.#nodes.push(node);
    await node.start();
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
  }
}

/** What a peer needs to know of a node. */
export function targetOf(node: LloomNode): { peerId: string; multiaddrs: string[] } {
  return { peerId: node.peerId, multiaddrs: node.multiaddrs() };
}

/** Resolves once `condition` holds, asked again at every event. */
export function until(
  condition: () => boolean,
  subscribe: (listener: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!condition()) return;
      unsubscribe();
      resolve();
    };
    const unsubscribe = subscribe(check);
    queueMicrotask(check);
  });
}

/** Answers every message with itself. */
export async function echo(stream: FrameStream): Promise<void> {
  for (let message = await stream.next(); message !== undefined; message = await stream.next()) {
    if (!stream.send(message)) await stream.drained();
  }
}
