/** Plain HTTP that goes where its URL says. @module */

/**
 * A client for `fetch` that connects to one origin itself. Deno's own obeys `HTTP_PROXY` and
 * `ALL_PROXY`, even without permission to read the environment, and whatever hosts are allowed:
 * prompts and API keys for a server on this machine would pass, readable, through another one.
 *
 * An `https:` origin needs none, and gets none: a proxy only carries the encrypted connection, and
 * where there is a proxy, it is often the only way out.
 * @param url any URL of the origin, with a lower-case host as `URL` writes it
 * @returns to be closed when it is no longer used; undefined for an origin that is not plain HTTP
 * @throws {Deno.errors.NotCapable} without permission to connect to it
 */
export function directHttp({ protocol, hostname, port }: URL): Deno.HttpClient | undefined {
  if (protocol !== "http:") return undefined;
  const proxy = { transport: "tcp", hostname, port: port === "" ? 80 : Number(port) } as const;
  return Deno.createHttpClient({ proxy });
}
