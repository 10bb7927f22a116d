/**
 * Who may use the gateway. It listens on loopback, where every web page in the owner's browser can
 * reach it, and spends the owner's money: so hosts, origins and content types are checked.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import { createHash, timingSafeEqual } from "node:crypto";
import { HttpProblem } from "./error_forms.ts";

/** Who may use it. */
export interface GuardOptions {
  /** The address listened on. */
  readonly host: string;
  /** Keys of which clients must show one; empty for none. */
  readonly apiKeys: readonly string[];
  /** Origins of web pages elsewhere. */
  readonly corsOrigins: readonly string[];
  /** Further names that it goes by. */
  readonly allowedHosts: readonly string[];
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/;
/** Addresses that stand for all of the machine's. */
const ALL_ADDRESSES: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);
/**
 * All that is answered without a key. Any other path needs one, as the routes know it by more than one
 * spelling: to them `/%76%31/models` is `/v1/models`.
 */
const OPEN_PATHS = /^\/(?:health|page\/[\w.]+)?$/;
const METHODS = "GET, POST, DELETE, OPTIONS";
/** What web pages elsewhere may read of an answer. */
const EXPOSED = "x-lloom-request-id, x-lloom-executor, x-lloom-cache, retry-after";

/** Checks requests by their heads. */
export class Guard {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #keys: readonly Uint8Array[];

  /** @throws {LloomError} `config_invalid` if it would serve other machines without a key */
  constructor({ host, apiKeys, corsOrigins, allowedHosts }: GuardOptions) {
    if (!LOOPBACK.test(host) && apiKeys.length === 0) {
      throw new LloomError(
        "config_invalid",
        "start gateway: other machines could spend your money; set LLOOM_GATEWAY_KEYS, or listen " +
          "on 127.0.0.1",
      );
    }
    const own = ALL_ADDRESSES.has(host) ? [] : [host];
    this.#hosts = new Set([...own, ...allowedHosts].map((name) => bare(name.toLowerCase())));
    this.#origins = new Set(corsOrigins.map((origin) => origin.toLowerCase()));
    this.#keys = apiKeys.map(digest);
  }

  /**
   * Lets a request in, or does not.
   * @returns the answer to a browser that asks what a web page may do
   * @throws {HttpProblem} why it is refused
   */
  admit({ method, headers, url }: Request): Response | undefined {
    this.#checkHost(headers);
    this.#checkOrigin(headers);
    if (method === "OPTIONS") {
      const asked = headers.get("access-control-request-headers");
      return new Response(null, {
        status: 204,
        headers: {
          allow: METHODS,
          "access-control-allow-methods": METHODS,
          "access-control-max-age": "600",
          ...(asked !== null && { "access-control-allow-headers": asked }),
        },
      });
    }
    if (!OPEN_PATHS.test(new URL(url).pathname)) this.#checkKey(headers);
    if (hasBody(headers) && !isJson(headers)) {
      throw new HttpProblem("media_type_unsupported", "the body must be application/json");
    }
    return undefined;
  }

  /** Headers that let a web page from elsewhere read an answer; none for all others. */
  corsHeaders(headers: Headers): Readonly<Record<string, string>> {
    const origin = headers.get("origin");
    if (origin === null || !this.#origins.has(origin.toLowerCase())) return {};
    return {
      "access-control-allow-origin": origin,
      "access-control-expose-headers": EXPOSED,
      vary: "origin",
    };
  }

  /** A name of somebody else's that leads here is how a web page would get around its origin. */
  #checkHost(headers: Headers): void {
    const name = bare((headers.get("host") ?? "").toLowerCase().replace(/:\d{1,5}$/, ""));
    if (LOOPBACK.test(name) || this.#hosts.has(name)) return;
    throw new HttpProblem(
      "host_refused",
      "the gateway does not go by this name; gateway.allowed_hosts lists further ones",
    );
  }

  #checkOrigin(headers: Headers): void {
    const origin = headers.get("origin")?.toLowerCase();
    if (origin === undefined || this.#origins.has(origin)) return;
    // The host was checked before.
    if (origin === `http://${headers.get("host")?.toLowerCase()}`) return;
    throw new HttpProblem(
      "origin_refused",
      "web pages from there may not use the gateway; gateway.cors_origins lists those that may",
    );
  }

  #checkKey(headers: Headers): void {
    if (this.#keys.length === 0) return;
    const bearer = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    const shown = [bearer, headers.get("x-api-key")].filter((key) => typeof key === "string");
    const hashes = shown.map(digest);
    // Hashes are of one length, and comparing them tells nothing of how much of a key is right.
    const matches = this.#keys.flatMap((key) => hashes.map((hash) => timingSafeEqual(key, hash)));
    if (matches.includes(true)) return;
    throw new HttpProblem(
      "key_invalid",
      shown.length === 0 ? "a key is needed" : "the key is not one of the gateway's",
      { "www-authenticate": "Bearer" },
    );
  }
}

function digest(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}

/** An address without the brackets that it has in a URL. */
function bare(name: string): string {
  return name.replace(/^\[(.*)\]$/, "$1");
}

function hasBody(headers: Headers): boolean {
  return Number(headers.get("content-length") ?? 0) > 0 || headers.has("transfer-encoding");
}

function isJson(headers: Headers): boolean {
  return /^application\/json *(?:;|$)/i.test(headers.get("content-type") ?? "");
}
