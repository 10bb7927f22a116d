/** Whether the faucet can do its work. @module */
import type { Clock } from "@lloom/core/ports";

/** How long a finding is told again: whoever asks often must not burden chain and mail server. */
const FRESH_MS = 10_000;

/** What was found. */
export interface Health {
  /** Whether the chain answers. */
  readonly chain: boolean;
  /** Whether the mail server takes mails. */
  readonly mail: boolean;
  /** Whether there is enough to fill up an empty account. */
  readonly balance: boolean;
}

/** How each part is looked at. May fail, which counts as no. */
export type Checks = { readonly [K in keyof Health]: () => Promise<boolean> };

/** Looks at the parts, at most once in ten seconds, for all who ask. */
export class HealthCheck {
  readonly #checks: Checks;
  readonly #clock: Pick<Clock, "now">;
  #found: { readonly at: number; readonly health: Promise<Health> } | undefined;

  /** A look at the parts. */
  constructor(checks: Checks, components: { readonly clock: Pick<Clock, "now"> }) {
    this.#checks = checks;
    this.#clock = components.clock;
  }

  /** What was found lately. */
  check(): Promise<Health> {
    const at = this.#clock.now();
    if (this.#found === undefined || this.#found.at + FRESH_MS <= at) {
      this.#found = { at, health: this.#look() };
    }
    return this.#found.health;
  }

  async #look(): Promise<Health> {
    const { chain, mail, balance } = this.#checks;
    const [chainUp, mailUp, enough] = await Promise.allSettled([chain(), mail(), balance()]);
    return { chain: isYes(chainUp), mail: isYes(mailUp), balance: isYes(enough) };
  }
}

function isYes(result: PromiseSettledResult<boolean>): boolean {
  return result.status === "fulfilled" && result.value;
}
