/** The faucet's paths: JSON for programs, pages for people. @module */
import type { Asset } from "@lloom/core/payments";
import { formatAmount } from "@lloom/core/payments";
import { toChecksumAddress } from "@lloom/core/identity";
import type { HttpHandler } from "@lloom/host/http";
import { getLogger } from "@logtape/logtape";
import { type Body, readBody } from "./body.ts";
import type { HealthCheck } from "./health.ts";
import { parseMailAddress } from "./mail_address.ts";
import {
  errorPage,
  messagePage,
  PAGE_HEADERS,
  payoutPage,
  redeemPage,
  requestPage,
} from "./pages.ts";
import type { Payout, Payouts } from "./payouts.ts";
import { Problem } from "./problem.ts";
import type { Requests } from "./requests.ts";
import { sourceOf } from "./source_address.ts";

const log = getLogger(["lloom", "faucet"]);

/** The columns of the list of subscribers after the time. */
export const SUBSCRIBER_FIELDS: readonly string[] = ["email", "name", "organization", "message"];

const ACCEPTED = "If this mail address had no link today, one is on its way to it.";
const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** What the paths lead to. */
export interface RoutesComponents {
  /** Takes requests. */
  readonly requests: Pick<Requests, "request" | "count">;
  /** Pays. */
  readonly payouts: Pick<Payouts, "look" | "redeem">;
  /** Tells how it is. */
  readonly health: Pick<HealthCheck, "check">;
  /** Keeps a subscriber: the fields of {@linkcode SUBSCRIBER_FIELDS}. */
  readonly subscribe: (fields: readonly string[]) => void;
}

/** What the pages say. */
export interface RoutesOptions {
  /** What is paid. */
  readonly asset: Asset;
  /** The balance to reach, for people. */
  readonly target: string;
  /** Proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
}

/** A request on its way to its answer. */
interface Visit {
  readonly request: Request;
  /** From where, for limits. */
  readonly source: string;
  /** What follows `/redeem/`. */
  readonly token: string;
  /** Reads the body; from then on errors are told in its way. */
  readonly body: () => Promise<Body>;
}

type Route = (visit: Visit) => Response | Promise<Response>;

/** The handler of all paths. */
export function createRoutes(options: RoutesOptions, components: RoutesComponents): HttpHandler {
  const { asset, target, trustedProxies } = options;
  const { requests, payouts, health, subscribe } = components;

  const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
    "/": { GET: () => pageOf(requestPage(target)) },
    "/request": {
      async POST({ source, body }) {
        const fields = await body();
        requests.request({
          email: fields.text("email"),
          ethereumAddress: fields.text("ethereum_address"),
          source,
        });
        return fields.form
          ? pageOf(messagePage("Look into your mail", ACCEPTED), 202)
          : json({ status: "accepted", message: ACCEPTED }, 202);
      },
    },
    "/redeem": {
      async POST({ body }) {
        const fields = await body();
        const token = fields.text("token");
        const payout = await payouts.redeem(token);
        if (!fields.form) {
          return json(payoutJson(payout, asset), payout.state === "pending" ? 202 : 200);
        }
        if (payout.state === "enough") return pageOf(payoutOf(payout, options));
        // A page of its own, that can be loaded again.
        return new Response(null, { status: 303, headers: { location: `/redeem/${token}` } });
      },
    },
    "/redeem/": {
      // Mail scanners follow links, so that looking must not pay.
      GET({ token }) {
        const payout = payouts.look(token);
        return pageOf(
          payout.state === "open"
            ? redeemPage(token, toChecksumAddress(payout.recipient), target)
            : payoutOf(payout, options),
        );
      },
    },
    "/subscribe": {
      async POST({ source, body }) {
        const fields = subscriberFields(await body());
        requests.count("subscribe", source);
        subscribe(fields);
        return json({ status: "subscribed" }, 201);
      },
    },
    "/health": {
      async GET() {
        const parts = await health.check();
        const ok = Object.values(parts).every((part) => part);
        return json({ status: ok ? "ok" : "degraded", ...parts }, ok ? 200 : 503);
      },
    },
  };

  return async (request, remoteAddress) => {
    const { pathname } = new URL(request.url);
    // Whoever prefers pages is a person, until the body says otherwise.
    let wantsPage = request.headers.get("accept")?.includes("text/html") ?? false;
    const visit: Visit = {
      request,
      source: sourceOf(remoteAddress, request.headers.get("x-forwarded-for"), trustedProxies),
      token: pathname.slice("/redeem/".length),
      async body() {
        const body = await readBody(request);
        wantsPage = body.form;
        return body;
      },
    };
    let response: Response;
    try {
      const route = findRoute(routes, pathname, request.method);
      response = await route(visit);
    } catch (error) {
      response = refusal(error, wantsPage);
    }
    for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value);
    return response;
  };
}

function findRoute(
  routes: Readonly<Record<string, Readonly<Record<string, Route>>>>,
  pathname: string,
  method: string,
): Route {
  const key = pathname.startsWith("/redeem/") ? "/redeem/" : pathname;
  const methods = Object.hasOwn(routes, key) ? routes[key] : undefined;
  if (methods === undefined) throw new Problem("not_found", "There is nothing at this address.");
  const wanted = method === "HEAD" ? "GET" : method;
  const route = Object.hasOwn(methods, wanted) ? methods[wanted] : undefined;
  if (route !== undefined) return route;
  const allow = Object.keys(methods).flatMap((name) => name === "GET" ? ["GET", "HEAD"] : [name]);
  throw new Problem("method_not_allowed", `This address takes ${allow.join(" and ")}.`, {
    headers: { allow: allow.join(", ") },
  });
}

function refusal(error: unknown, wantsPage: boolean): Response {
  let problem: Problem;
  if (error instanceof Problem) problem = error;
  else {
    log.error("answer request: {error}", { error });
    problem = new Problem("internal", "Something is wrong at the faucet. Try again later.");
  }
  const { code, message, status, headers } = problem;
  const response = wantsPage
    ? pageOf(errorPage(message), status)
    : json({ error: { code, message } }, status);
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

function pageOf(text: string, status = 200): Response {
  return new Response(text, { status, headers: PAGE_HEADERS });
}

function json(value: unknown, status: number): Response {
  return Response.json(value, { status });
}

function payoutJson(payout: Payout, asset: Asset): Readonly<Record<string, string>> {
  const { state } = payout;
  const recipient = toChecksumAddress(payout.recipient);
  if (payout.state !== "pending" && payout.state !== "paid") return { state, recipient };
  return {
    ...{ state, recipient },
    amount: payout.amount.toString(),
    amountText: formatAmount(payout.amount, asset),
    ...(payout.state === "paid" && { transactionHash: payout.transactionHash }),
  };
}

function payoutOf(payout: Payout, { asset, target }: RoutesOptions): string {
  const account = toChecksumAddress(payout.recipient);
  switch (payout.state) {
    case "pending":
      return payoutPage(
        "On its way",
        `${formatAmount(payout.amount, asset)} will be with ${account} in a moment. ` +
          "Load this page again to see whether it has arrived.",
      );
    case "paid":
      return payoutPage(
        "Paid",
        `${formatAmount(payout.amount, asset)} was paid to ${account}.`,
        payout.transactionHash,
      );
    case "failed":
      return payoutPage("Not paid", `${account} could not be paid. You may ask for another link.`);
    default:
      return payoutPage("Enough already", `${account} has ${target} or more already.`);
  }
}

function subscriberFields(body: Body): readonly string[] {
  const unknown = body.names.filter((name) => !SUBSCRIBER_FIELDS.includes(name));
  if (unknown.length > 0) {
    throw new Problem("request_invalid", `The fields are ${SUBSCRIBER_FIELDS.join(", ")}.`);
  }
  if (parseMailAddress(body.text("email")) === undefined) {
    throw new Problem("request_invalid", "The mail address is not one like name@example.org.");
  }
  return SUBSCRIBER_FIELDS.map((name) => body.text(name));
}
