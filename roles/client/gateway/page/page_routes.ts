/** The gateway's page: files as they are, under a policy that lets nothing else in. @module */
import { LloomError } from "@lloom/core/errors";
import { Hono } from "hono";

/** Each file in words that a packager can find: its URL must stand here as a whole. */
const FILES: Readonly<Record<string, { readonly url: URL; readonly type: string }>> = {
  "/": file(new URL("./index.html", import.meta.url), "text/html"),
  "/page/page.css": file(new URL("./page.css", import.meta.url), "text/css"),
  "/page/icon.svg": file(new URL("./icon.svg", import.meta.url), "image/svg+xml"),
  "/page/page.js": file(new URL("./page.js", import.meta.url), "text/javascript"),
  "/page/answer_view.js": file(new URL("./answer_view.js", import.meta.url), "text/javascript"),
  "/page/gateway.js": file(new URL("./gateway.js", import.meta.url), "text/javascript"),
  "/page/words.js": file(new URL("./words.js", import.meta.url), "text/javascript"),
};

/**
 * What browsers are told with each file. `connect-src 'self'` keeps what models say from reaching
 * anybody else, trusted types keep it from ever becoming markup.
 */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; " +
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-cache",
};

/** The routes of the page, which talks to the API of the gateway that it comes from. */
export function pageRoutes(): Hono {
  const routes = new Hono();
  for (const [path, { url, type }] of Object.entries(FILES)) {
    let content: Uint8Array<ArrayBuffer> | undefined;
    routes.get(path, async (context) => {
      content ??= await load(url);
      return context.body(content, 200, { ...HEADERS, "content-type": type });
    });
  }
  return routes;
}

function file(url: URL, type: string): { readonly url: URL; readonly type: string } {
  return { url, type: `${type}; charset=utf-8` };
}

/** Needs leave to read the file, or to fetch it where this module came from the network. */
async function load(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await response.bytes();
  } catch (thrown) {
    throw LloomError.wrap(thrown, "internal", "load page");
  }
}
