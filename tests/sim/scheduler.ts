/**
 * Virtual time: whatever takes time is an event here, and which comes next is the seed's choice. One
 * event is handled to its end, with all that it resolves, before the next one is taken.
 * @module
 */
import type { Clock } from "@lloom/core/ports";
import { Random } from "./random.ts";

/** One run of a process: what it waits for never comes once it is dead. */
export interface Life {
  readonly name: string;
  alive: boolean;
}

/** How long something takes, in milliseconds: mostly `usual` at most, at times up to `rare`. */
export interface Delay {
  readonly usual: number;
  readonly rare: number;
}

/** What takes time. */
export const DELAYS = {
  sync: { usual: 8, rare: 400 },
  crypto: { usual: 3, rare: 20 },
  network: { usual: 40, rare: 4_000 },
  rpc: { usual: 120, rare: 9_000 },
  backend: { usual: 60, rare: 6_000 },
} as const satisfies Record<string, Delay>;

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly life: Life | undefined;
  readonly label: string;
  fire: (() => void) | undefined;
}

/** Long traces are of no use to anybody. */
const KEPT_EVENTS = 200;
const START_MS = 1_700_000_000_000;

/** Time, its events, and the randomness that decides among them. */
export class Scheduler {
  readonly random: Random;
  readonly #heap: Event[] = [];
  readonly #printed: ((line: string) => void) | undefined;
  #recent: string[] = [];
  #nowMs = START_MS;
  #order = 0;
  #hash = 0x811c9dc5;
  #events = 0;
  /** Of what takes time, how much takes rarely long. */
  rarely = 0.04;

  /** @param print takes the trace as it comes */
  constructor(seed: number, print?: (line: string) => void) {
    this.random = new Random(seed);
    this.#printed = print;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  /** Depends on every event so far. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  /** The newest lines of the trace. */
  get recent(): readonly string[] {
    return this.#recent.slice(-KEPT_EVENTS);
  }

  /** Calls `fire` after `ms`, if `life` still lasts then. @returns what disarms it */
  after(ms: number, life: Life | undefined, label: string, fire: () => void): () => void {
    const event = { atMs: this.#nowMs + ms, order: this.#order++, life, label, fire };
    this.#push(event);
    return () => event.fire = NOTHING;
  }

  /** Resolves when something that takes time is done. */
  wait(life: Life | undefined, delay: Delay, label: string): Promise<void> {
    return new Promise((resolve) => this.after(this.draw(delay), life, label, resolve));
  }

  /** How long something takes this time. */
  draw({ usual, rare }: Delay): number {
    return this.random.whole(0, this.random.chance(this.rarely) ? rare : usual);
  }

  /** The clock of a process. */
  clock(life: Life): Clock {
    return {
      now: () => this.#nowMs,
      setTimer: (ms, fire) => this.after(ms, life, "timer", fire),
    };
  }

  /** Adds a line to the trace that is no event of its own. */
  note(line: string): void {
    this.#trace(`  ${line}`);
  }

  /** Handles events until there are none, or `isDone`, or `maxEvents` more were handled. */
  async run(isDone: () => boolean, maxEvents: number): Promise<void> {
    await settled();
    for (let count = 0; count < maxEvents && !isDone(); count++) {
      const event = this.#pop();
      if (event === undefined) return;
      const { fire, life } = event;
      if (fire === NOTHING || life?.alive === false) {
        count--;
        continue;
      }
      this.#nowMs = event.atMs;
      this.#events++;
      this.#trace(`${event.atMs - START_MS} ${life?.name ?? "world"}: ${event.label}`);
      fire!();
      await settled();
    }
  }

  #trace(line: string): void {
    for (let i = 0; i < line.length; i++) {
      this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193);
    }
    this.#recent.push(line);
    if (this.#recent.length > 2 * KEPT_EVENTS) this.#recent = this.#recent.slice(-KEPT_EVENTS);
    this.#printed?.(line);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const NOTHING = (): void => {};

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Resolves once every promise that can be resolved now is. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
