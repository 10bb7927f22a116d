import assert from "node:assert/strict";
import {
  type HttpHandler,
  type HttpServer,
  type HttpServerOptions,
  serveHttp,
} from "./http_server.ts";

const LIMITS = { host: "127.0.0.1", port: 0, maxConnections: 4, maxBodyBytes: 1000 };
const echo: HttpHandler = async (request, from) =>
  Response.json({
    method: request.method,
    path: new URL(request.url).pathname,
    body: await request.text(),
    from,
  }, { headers: { "x-asked": request.headers.get("x-ask") ?? "" } });

async function serving(
  handler: HttpHandler,
  use: (server: HttpServer, base: string) => Promise<void>,
  options: Partial<HttpServerOptions> = {},
): Promise<void> {
  const server = await serveHttp({ ...LIMITS, ...options }, handler);
  try {
    await use(server, `http://127.0.0.1:${server.port}`);
  } finally {
    await server.stop();
  }
}

/** Sends bytes as they are; all that comes back until the server closes. */
async function raw(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  let answer = "";
  const bytes = new Uint8Array(4096);
  for (;;) {
    const count = await connection.read(bytes).catch((error: unknown) => {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    });
    if (count === null) return answer;
    answer += new TextDecoder().decode(bytes.subarray(0, count));
  }
}

Deno.test("method, path, headers, body and address reach the handler, and its answer the asker", () =>
  serving(echo, async (_, base) => {
    const response = await fetch(`${base}/a//b?c=1`, {
      method: "POST",
      body: "grüße",
      headers: { "x-ask": "yes" },
    });
    assert.equal(response.headers.get("x-asked"), "yes");
    assert.deepEqual(await response.json(), {
      method: "POST",
      path: "/a//b",
      body: "grüße",
      from: "127.0.0.1",
    });
  }));

Deno.test("a body too long is refused, whether it says so or not", () =>
  serving(echo, async (server, base) => {
    const body = "x".repeat(1001);
    const said = await fetch(base, { method: "POST", body });
    assert.equal(said.status, 413);
    await said.body?.cancel();
    const chunked = await raw(
      server.port,
      `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n${body}\r\n0\r\n\r\n`,
    );
    assert.match(chunked, /^HTTP\/1\.1 413 /);
    const fits = await fetch(base, { method: "POST", body: body.slice(1) });
    assert.equal((await fits.json()).body.length, 1000);
  }));

Deno.test("what is refused by its head is answered before its body has come", () =>
  serving(() => assert.fail("it was handled"), async ({ port }) => {
    const head = "POST /p HTTP/1.1\r\nHost: x\r\nX-Ask: no\r\nContent-Length: 999\r\n\r\n";
    const answer = await raw(port, head);
    assert.match(answer, /^HTTP\/1\.1 403 /);
    assert.match(answer, /\/p no/);
  }, {
    admit: ({ url, headers }) =>
      new Response(`${new URL(url).pathname} ${headers.get("x-ask")}`, { status: 403 }),
  }));

Deno.test("whoever sends too long a body is told in the words of the server", () =>
  serving(echo, async (_, base) => {
    const response = await fetch(`${base}/p`, { method: "POST", body: "x".repeat(1001) });
    assert.deepEqual([response.status, await response.text()], [413, "/p is too long"]);
  }, {
    admit: () => undefined,
    tooLarge: ({ url }) => new Response(`${new URL(url).pathname} is too long`, { status: 413 }),
  }));

Deno.test("the head of an event stream does not wait for its first event", () =>
  serving(
    () => new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } }),
    async (
      _,
      base,
    ) => {
      const response = await fetch(base);
      assert.equal(response.status, 200);
      await response.body!.cancel();
    },
  ));

Deno.test("a request that does not arrive is cut off: silent, half its head, half its body", () =>
  serving(echo, async ({ port }) => {
    const parts = [
      "",
      "GET / HTTP/1.1\r\nHos",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
    ];
    const answers = await Promise.all(parts.map((part) => raw(port, part)));
    for (const answer of answers) assert.match(answer, /^(?:HTTP\/1\.1 408 |$)/);
  }, { headTimeoutMs: 300, requestTimeoutMs: 600 }));

Deno.test("connections beyond the limit are closed unheard, and the others answered", () =>
  serving(echo, async ({ port }, base) => {
    const idle = await Promise.all(
      [1, 2, 3].map(() => Deno.connect({ hostname: "127.0.0.1", port })),
    );
    const response = await fetch(base, { headers: { connection: "close" } });
    assert.equal(response.status, 200);
    const fourth = await Deno.connect({ hostname: "127.0.0.1", port });
    await response.body?.cancel();
    assert.equal(await raw(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "");
    for (const connection of [...idle, fourth]) connection.close();
  }));

Deno.test("what is not HTTP, too long a head, and another host's URL are answered with 4xx", () =>
  serving(echo, async ({ port }) => {
    assert.match(await raw(port, "nonsense\r\n\r\n"), /^HTTP\/1\.1 400 /);
    const long = "a".repeat(20_000);
    assert.match(await raw(port, `GET / HTTP/1.1\r\nA: ${long}\r\n\r\n`), /^HTTP\/1\.1 4\d\d |^$/);
    const absolute = "GET http://other/ HTTP/1.1\r\nHost: x\r\n\r\n";
    assert.match(await raw(port, absolute), /^HTTP\/1\.1 400 /);
  }));

Deno.test("a handler that throws is a 500, and the next request is served", () => {
  const handler: HttpHandler = (request) => {
    if (request.url.endsWith("/bad")) throw new Error("on purpose");
    return new Response("good");
  };
  return serving(handler, async (_, base) => {
    assert.equal((await fetch(`${base}/bad`)).status, 500);
    assert.equal(await (await fetch(base)).text(), "good");
  });
});

Deno.test("an answer is sent as it comes, and ends when the asker is gone", async () => {
  const cancelled = Promise.withResolvers<void>();
  const handler: HttpHandler = ({ signal }) => {
    signal.addEventListener("abort", () => cancelled.resolve());
    return new Response(
      new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([104, 105])) }),
    );
  };
  await serving(handler, async (_, base) => {
    const abort = new AbortController();
    const response = await fetch(base, { signal: abort.signal });
    const first = await response.body!.getReader().read();
    assert.equal(new TextDecoder().decode(first.value), "hi");
    abort.abort();
    await cancelled.promise;
  });
});

Deno.test("an asker that takes nothing of its answer does not hold it for ever", async () => {
  const cancelled = Promise.withResolvers<void>();
  const endless: HttpHandler = () =>
    new Response(
      new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new Uint8Array(1 << 16)),
        cancel: () => cancelled.resolve(),
      }),
    );
  await serving(endless, async ({ port }) => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    await cancelled.promise;
  }, { takeTimeoutMs: 50 });
});

Deno.test("an address that is taken, or is none of this machine, is a mistake of the settings", () =>
  serving(echo, async ({ port }) => {
    await assert.rejects(serveHttp({ ...LIMITS, port }, echo), { code: "config_invalid" });
    await assert.rejects(serveHttp({ ...LIMITS, host: "192.0.2.1" }, echo), {
      code: "config_invalid",
    });
  }));
