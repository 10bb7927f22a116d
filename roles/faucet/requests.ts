/** Takes requests for money, and sends tokens by mail. @module */
import { type Address, type Hash, toHex, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import type { Clock } from "@lloom/core/ports";
import type { SqliteFaucetStore } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";
import { sha256 } from "@noble/hashes/sha2";
import { createHmac } from "node:crypto";
import { parseMailAddress } from "./mail_address.ts";
import type { Mailer } from "./mailer.ts";
import { Problem } from "./problem.ts";

const log = getLogger(["lloom", "faucet"]);

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How long a token may be redeemed. */
export const TOKEN_LIFE_MS = 15 * 60_000;
/** Requests of one source in an hour. */
const ATTEMPTS_PER_HOUR = 5;
/** How long a payment can be looked at. */
const KEEP_PAID_MS = 30 * DAY_MS;

/** What a stranger sends to be paid. */
export interface FundingRequest {
  /** As it came. */
  readonly email: string;
  /** As it came. */
  readonly ethereumAddress: string;
  /** From where, as `sourceOf` says. */
  readonly source: string;
}

/** What {@linkcode Requests} works with. */
export interface RequestsComponents {
  /** Remembers. */
  readonly store: SqliteFaucetStore;
  /** Sends. */
  readonly mailer: Pick<Mailer, "sendToken">;
  /** The system's. */
  readonly clock: Pick<Clock, "now">;
  /** The page that redeems a token. */
  readonly linkTo: (token: string) => string;
  /** Hides mail and source addresses in the database. */
  readonly secret: Uint8Array;
  /** The faucet's own account, which needs no help. */
  readonly account: Address;
}

/** See the module. */
export class Requests {
  readonly #components: RequestsComponents;
  readonly #mailsPerHour: number;
  readonly #sending = new Set<Promise<void>>();

  /** Requests, with so many mails an hour at most. */
  constructor(options: { readonly mailsPerHour: number }, components: RequestsComponents) {
    this.#mailsPerHour = options.mailsPerHour;
    this.#components = components;
  }

  /**
   * Has a token sent, unless the mail address had one today: that is not told, neither by the answer
   * nor by its time, or a stranger could learn who uses the faucet.
   * @throws {Problem} `request_invalid`, `rate_limited`
   */
  request({ email, ethereumAddress, source }: FundingRequest): void {
    const { store, clock, account } = this.#components;
    const mail = parseMailAddress(email);
    if (mail === undefined) {
      throw new Problem("request_invalid", "The mail address is not one like name@example.org.");
    }
    const recipient = parseRecipient(ethereumAddress);
    if (recipient === account) {
      throw new Problem("request_invalid", "The Ethereum address is the faucet's own.");
    }
    const now = clock.now();
    this.#prune(now);
    const from = this.#admit("request", source, now);
    const issued = store.issued(now - HOUR_MS);
    if (issued.count >= this.#mailsPerHour) {
      throw Problem.later(
        "rate_limited",
        "The faucet has sent as many mails as it may in an hour.",
        issued.firstMs + HOUR_MS - now,
      );
    }
    const person = this.#hide("mail", mail.person);
    if (store.wasMailed(person, now - DAY_MS)) return store.record({ source: from, at: now });
    const token = crypto.getRandomValues(new Uint8Array(32));
    const hash = tokenHash(token);
    store.record({ source: from, at: now }, { token: hash, mail: person, recipient });
    const sending = this.#send(mail.address, token, hash);
    this.#sending.add(sending);
    void sending.finally(() => this.#sending.delete(sending));
  }

  /** Counts something else that a source does, within the same limit. @throws {Problem} `rate_limited` */
  count(what: string, source: string): void {
    const now = this.#components.clock.now();
    this.#prune(now);
    this.#components.store.record({ source: this.#admit(what, source, now), at: now });
  }

  /** Resolves when all mails under way are sent, or have failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#sending);
  }

  #admit(what: string, source: string, now: number): string {
    const from = this.#hide(what, source);
    const { count, firstMs } = this.#components.store.attempts(from, now - HOUR_MS);
    if (count < ATTEMPTS_PER_HOUR) return from;
    throw Problem.later(
      "rate_limited",
      `There were ${ATTEMPTS_PER_HOUR} requests from your network within an hour.`,
      firstMs + HOUR_MS - now,
    );
  }

  async #send(address: string, token: Uint8Array, hash: Hash): Promise<void> {
    const { mailer, store, linkTo } = this.#components;
    const text = toText(token);
    let sent = false;
    try {
      await mailer.sendToken(address, text, linkTo(text));
      sent = true;
    } catch (error) {
      // The mail server's words may hold the address.
      log.error("send mail: {code}", { code: LloomError.wrap(error).code });
    }
    store.noteMail(hash, sent);
  }

  #prune(now: number): void {
    this.#components.store.prune({
      attempts: now - HOUR_MS,
      unpaid: now - DAY_MS,
      paid: now - KEEP_PAID_MS,
    });
  }

  #hide(what: string, text: string): string {
    return createHmac("sha256", this.#components.secret).update(`${what}\n${text}`).digest("hex");
  }
}

/** A token as it stands in links. */
function toText(token: Uint8Array): string {
  return token.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** How a token is known to the database; undefined if the text is no token. */
export function hashOfToken(text: string): Hash | undefined {
  if (!/^[A-Za-z0-9_-]{43}$/.test(text)) return undefined;
  const token = Uint8Array.fromBase64(text, { alphabet: "base64url" });
  return toText(token) === text ? tokenHash(token) : undefined;
}

function tokenHash(token: Uint8Array): Hash {
  return toHex(sha256(token));
}

function parseRecipient(text: string): Address {
  const trimmed = text.trim();
  if (!/^0x[0-9a-fA-F]{40}$/.test(trimmed)) {
    throw new Problem(
      "request_invalid",
      "The Ethereum address is not 0x and 40 hexadecimal digits.",
    );
  }
  const address = trimmed.toLowerCase() as Address;
  const mixed = /[a-f]/.test(trimmed) && /[A-F]/.test(trimmed);
  if (mixed && toChecksumAddress(address) !== trimmed) {
    throw new Problem(
      "request_invalid",
      "The Ethereum address is mistyped: its capital letters do not match its digits.",
    );
  }
  if (address === ZERO_ADDRESS) {
    throw new Problem("request_invalid", "The Ethereum address is nobody's.");
  }
  return address;
}
