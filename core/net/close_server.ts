/** The executor's side of `/lloom/channel/1.0.0`: agrees to close channels. @module */
import { getLogger } from "@logtape/logtape";
import type { Address } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { ChannelCashier } from "../payments/cashier.ts";
import type { Clock, MessageStream, Signer } from "../ports.ts";
import { type CloseAnswer, decodeClose, encodeCloseAnswer } from "../protocol/channel/mod.ts";
import { CHANNEL_RATE, MAX_CLOCK_SKEW_S, MAX_CONSENT_S } from "../protocol/limits.ts";
import { QueryRates } from "../registry/query_rates.ts";
import { IdleTimer } from "./idle_timer.ts";

const log = getLogger(["lloom", "payments"]);

/** What a {@linkcode CloseServer} works with. */
export interface CloseServerComponents {
  /** Knows what each channel owes, and serves none that it has agreed to close. */
  readonly cashier: Pick<ChannelCashier, "consent">;
  /** Signs consents. */
  readonly signer: Pick<Signer, "signConsent">;
  /** Dates them. */
  readonly clock: Clock;
}

/** Answers clients that want a channel closed at once. */
export class CloseServer {
  readonly #components: CloseServerComponents;
  readonly #rates: QueryRates;

  /** A server for any number of streams. */
  constructor(components: CloseServerComponents) {
    this.#components = components;
    this.#rates = new QueryRates(CHANNEL_RATE, components);
  }

  /**
   * Serves one stream until the other side ends it. Never rejects: a broken stream is let go.
   * @param client who is at the other end
   */
  async serve(stream: MessageStream, client: Address): Promise<void> {
    const idle = new IdleTimer(this.#components.clock, stream);
    try {
      for (;;) {
        idle.start();
        const message = await stream.next();
        if (message === undefined) break;
        idle.stop();
        if (!stream.send(encodeCloseAnswer(await this.#answer(message, client)))) {
          idle.start();
          await stream.drained();
        }
      }
      await stream.close();
    } catch (thrown) {
      const error = LloomError.wrap(thrown, "stream_broken", "serve channels");
      log.debug("channel stream ended: {code}", { code: error.code });
      stream.abort(error);
    } finally {
      idle.close();
    }
  }

  async #answer(message: Uint8Array, client: Address): Promise<CloseAnswer> {
    try {
      this.#rates.take(client, 1, "close channel");
      return await this.#consent(message, client);
    } catch (thrown) {
      if (thrown instanceof LloomError) return { type: "error", error: thrown.toData() };
      log.error("a channel could not be closed: {error}", { error: thrown });
      return { type: "error", error: { code: "internal", message: "close channel: failed" } };
    }
  }

  async #consent(message: Uint8Array, client: Address): Promise<CloseAnswer> {
    const { cashier, signer, clock } = this.#components;
    const { terms } = decodeClose(message);
    const { channelId, finalAmount } = await cashier.consent(terms, client);
    // The contract takes none that reaches further, by its own clock.
    const nowS = Math.floor(clock.now() / 1000);
    const deadline = BigInt(nowS + MAX_CONSENT_S - MAX_CLOCK_SKEW_S);
    const signature = await signer.signConsent({ channelId, finalAmount, deadline });
    return { type: "consent", finalAmount, deadline, signature };
  }
}
