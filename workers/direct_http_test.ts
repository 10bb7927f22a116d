import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { directHttp } from "./direct_http.ts";

const PROGRAM = fileURLToPath(new URL("./testdata/call_backend.ts", import.meta.url));

Deno.test("a model server over plain HTTP is reached directly, whatever proxies the environment names", async () => {
  const proxied: string[] = [];
  const proxy = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    proxied.push(request.url);
    return Response.json("proxy");
  });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => Response.json(request.headers.get("authorization")),
  );
  const at = `http://127.0.0.1:${proxy.addr.port}`;
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
  try {
    for (const host of ["127.0.0.1", "localhost"]) {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--quiet", "--no-prompt", "--ignore-env"],
          ...[`--allow-net=${host}:${server.addr.port}`, PROGRAM],
          `http://${host}:${server.addr.port}`,
        ],
        env: Object.fromEntries(
          names.flatMap((name) => [[name, at], [name.toLowerCase(), at]]).concat([
            ["NO_PROXY", ""],
            ["no_proxy", ""],
          ]),
        ),
      }).output();
      const decoder = new TextDecoder();
      assert.equal(decoder.decode(stdout), `"Bearer secret"`, decoder.decode(stderr));
    }
    assert.deepEqual(proxied, []);
  } finally {
    await Promise.all([proxy.shutdown(), server.shutdown()]);
  }
});

Deno.test("an encrypted origin keeps its proxy; a plain one is reached at any port and address", async () => {
  assert.equal(directHttp(new URL("https://models.example/v1")), undefined);
  directHttp(new URL("http://models.example/v1"))!.close();
  const server = Deno.serve(
    { hostname: "::1", port: 0, onListen() {} },
    () => new Response("here"),
  );
  const url = new URL(`http://[::1]:${server.addr.port}/`);
  const client = directHttp(url)!;
  assert.equal(await (await fetch(url, { client })).text(), "here");
  client.close();
  await server.shutdown();
});
