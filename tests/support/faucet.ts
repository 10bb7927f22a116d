/** A faucet's requests, with a mailer that keeps what it is given. @module */
import type { Address } from "@lloom/core/bytes";
import type { Clock } from "@lloom/core/ports";
import type { SqliteFaucetStore } from "@lloom/host/stores";
import { type FundingRequest, Requests } from "../../roles/faucet/requests.ts";

/** The faucet's account. */
export const ACCOUNT: Address = `0x${"fa".repeat(20)}`;

/** A mail as the mailer gets it. */
export interface MailedToken {
  readonly address: string;
  readonly token: string;
  readonly link: string;
}

/** What the requests are made of. */
export interface FaucetBench {
  readonly store: SqliteFaucetStore;
  readonly clock: Pick<Clock, "now">;
}

/** Takes requests; the mails come into a list. */
export function takeRequests(
  { store, clock }: FaucetBench,
  { mailsPerHour = 1000, mailFails = () => false }: {
    readonly mailsPerHour?: number;
    readonly mailFails?: () => boolean;
  } = {},
): { readonly requests: Requests; readonly mails: readonly MailedToken[] } {
  const mails: MailedToken[] = [];
  const mailer = {
    sendToken(address: string, token: string, link: string): Promise<void> {
      if (mailFails()) return Promise.reject(new Error("451 not now"));
      mails.push({ address, token, link });
      return Promise.resolve();
    },
  };
  const requests = new Requests({ mailsPerHour }, {
    ...{ store, mailer, clock },
    linkTo: (token) => `https://faucet.test/redeem/${token}`,
    secret: new Uint8Array(32).fill(7),
    account: ACCOUNT,
  });
  return { requests, mails };
}

/** The mails that some requests lead to. */
export async function sentTokens(
  bench: FaucetBench,
  asked: readonly FundingRequest[],
): Promise<readonly MailedToken[]> {
  const { requests, mails } = takeRequests(bench);
  for (const request of asked) requests.request(request);
  await requests.settled();
  return mails;
}
