/** A package registry on this machine: what is published to it can be run from it. @module */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";

/** A published package. */
export interface PublishedPackage {
  /** As in `@scope/name`. */
  readonly name: string;
  readonly version: string;
  /** By path, which begins with a slash. */
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** The part of JSR's interface that `deno publish` and `deno run jsr:…` use. */
export class PackageRegistry implements AsyncDisposable {
  readonly packages = new Map<string, PublishedPackage>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => this.#answer(request),
  );

  /** For `JSR_URL`. A name, so that leave for 127.0.0.1 does not cover it. */
  get url(): string {
    return `http://localhost:${this.#server.addr.port}/`;
  }

  /** Ends the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const atVersion = /^\/api\/scopes\/([^/]+)\/packages\/([^/]+)\/versions\/([^/]+)$/;
    const [, scope, title, tag] = atVersion.exec(pathname) ?? [];
    if (tag !== undefined) {
      const name = `@${scope}/${title}`;
      if (request.method !== "POST") return notFound(); // whether it was published before
      const files = readTar(gunzipSync(await request.bytes()));
      this.packages.set(name, { name, version: tag, files });
      return Response.json({ id: "1", status: "success" });
    }
    if (pathname.startsWith("/api/")) return Response.json({});
    const [, name = "", rest = ""] = /^\/(@[^/]+\/[^/]+)\/(.*)$/.exec(pathname) ?? [];
    const published = this.packages.get(name);
    if (published === undefined) return notFound();
    const { version, files } = published;
    if (rest === "meta.json") return Response.json({ versions: { [version]: {} } });
    if (rest === `${version}_meta.json`) return Response.json(describe(published));
    const file = rest.startsWith(`${version}/`) ? files.get(rest.slice(version.length)) : undefined;
    return file === undefined ? notFound() : new Response(file);
  }
}

function notFound(): Response {
  return Response.json({ code: "notFound", message: "not found" }, { status: 404 });
}

/** A version's exports, and the checksums of its files. */
function describe({ files }: PublishedPackage): object {
  const { exports } = JSON.parse(new TextDecoder().decode(files.get("/deno.json")));
  const manifest = [...files].map(([path, bytes]) => [path, {
    size: bytes.length,
    checksum: `sha256-${createHash("sha256").update(bytes).digest("hex")}`,
  }]);
  return {
    exports: typeof exports === "string" ? { ".": exports } : exports,
    manifest: Object.fromEntries(manifest),
  };
}

/** The plain files of a tar archive. */
function readTar(archive: Uint8Array): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const bytes = Buffer.from(archive);
  const field = (at: number, length: number) =>
    bytes.toString("utf8", at, at + length).replace(/\0.*$/s, "");
  for (let at = 0; at < bytes.length && bytes[at] !== 0;) {
    const size = parseInt(field(at + 124, 12), 8);
    const kind = field(at + 156, 1);
    if (kind !== "0" && kind !== "") throw new Error(`read archive: an entry of kind ${kind}`);
    const path = [field(at + 345, 155), field(at, 100)].filter((part) => part !== "").join("/");
    files.set(
      `/${path.replace(/^\.?\//, "")}`,
      Uint8Array.from(bytes.subarray(at + 512, at + 512 + size)),
    );
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
