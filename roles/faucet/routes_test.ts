import assert from "node:assert/strict";
import { type Address, type Hash, ZERO_ADDRESS } from "@lloom/core/bytes";
import { type DefaultTreeAdapterMap, parse, type ParserError } from "parse5";
import type { Payout } from "./payouts.ts";
import { Problem } from "./problem.ts";
import type { FundingRequest } from "./requests.ts";
import { createRoutes } from "./routes.ts";

type Element = DefaultTreeAdapterMap["element"];

const ANN: Address = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
const ANN_TEXT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const TOKEN = "A".repeat(43);
const HASH: Hash = `0x${"77".repeat(32)}`;

/** The faucet's paths over parts that do as a test says. */
class Front {
  readonly asked: FundingRequest[] = [];
  readonly counted: string[] = [];
  readonly subscribed: (readonly string[])[] = [];
  redeemed = 0;
  payout: Payout = { state: "open", recipient: ANN };
  problem: Error | undefined;
  health = { chain: true, mail: true, balance: true };
  readonly #handle = createRoutes({
    asset: { address: ZERO_ADDRESS, symbol: "ETH", decimals: 18 },
    target: "0.05 ETH",
    trustedProxies: ["127.0.0.1"],
  }, {
    requests: {
      request: (request) => {
        if (this.problem !== undefined) throw this.problem;
        this.asked.push(request);
      },
      count: (what, source) => {
        this.counted.push(`${what} ${source}`);
      },
    },
    payouts: {
      look: () => {
        if (this.problem !== undefined) throw this.problem;
        return this.payout;
      },
      redeem: () => {
        if (this.problem !== undefined) throw this.problem;
        this.redeemed++;
        return Promise.resolve(this.payout);
      },
    },
    health: { check: () => Promise.resolve(this.health) },
    subscribe: (fields) => {
      this.subscribed.push(fields);
    },
  });

  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const request = new Request(`http://localhost${path}`, init);
    return await this.#handle(request, "127.0.0.1");
  }

  json(path: string, body: unknown): Promise<Response> {
    const headers = { "content-type": "application/json; charset=utf-8" };
    return this.ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  form(path: string, fields: Record<string, string>): Promise<Response> {
    return this.ask(path, { method: "POST", body: new URLSearchParams(fields) });
  }
}

function* elements(node: DefaultTreeAdapterMap["node"]): Generator<Element> {
  if ("tagName" in node) yield node;
  for (const child of "childNodes" in node ? node.childNodes : []) yield* elements(child);
}

function textOf(node: DefaultTreeAdapterMap["node"]): string {
  if ("value" in node && node.nodeName === "#text") return node.value;
  return "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
}

const attribute = (element: Element, name: string): string | undefined =>
  element.attrs.find((attr) => attr.name === name)?.value;

/** Checks what every page must be; its elements. */
async function assertPage(response: Response): Promise<readonly Element[]> {
  assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = response.headers.get("content-security-policy") ?? "";
  assert.match(policy, /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; /);
  assert.match(policy, /base-uri 'none'; frame-ancestors 'none'$/);
  assert.equal(response.headers.get("referrer-policy"), "no-referrer");
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  const errors: ParserError[] = [];
  const all = [...elements(parse(await response.text(), { onParseError: (e) => errors.push(e) }))];
  assert.deepEqual(errors, []);
  const named = (name: string) => all.filter(({ tagName }) => tagName === name);
  assert.equal(attribute(named("html")[0]!, "lang"), "en");
  assert.equal(named("h1").length, 1);
  assert.equal(named("main").length, 1);
  assert.ok(textOf(named("title")[0]!).startsWith(textOf(named("h1")[0]!)));
  for (const tag of ["script", "img", "iframe", "link", "object"]) {
    assert.equal(named(tag).length, 0, tag);
  }
  for (const element of all) {
    for (const { name, value } of element.attrs) {
      assert.ok(!name.startsWith("on") && name !== "style" && name !== "tabindex", name);
      if (["href", "src", "action"].includes(name)) assert.match(value, /^\/(?!\/)/);
    }
  }
  const ids = new Set(all.flatMap((element) => attribute(element, "id") ?? []));
  for (const input of named("input").filter((each) => attribute(each, "type") !== "hidden")) {
    const label = named("label").find((each) => attribute(each, "for") === attribute(input, "id"));
    assert.ok(label !== undefined && textOf(label).trim() !== "");
    const described = attribute(input, "aria-describedby");
    assert.ok(described === undefined || ids.has(described));
  }
  for (const button of named("button")) assert.notEqual(textOf(button).trim(), "");
  const style = textOf(named("style")[0]!);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
  assert.ok(policy.includes(`'sha256-${new Uint8Array(digest).toBase64()}'`));
  return all;
}

const says = (all: readonly Element[], text: string | RegExp) =>
  assert.match(textOf(all.find(({ tagName }) => tagName === "main")!), new RegExp(text));

async function assertProblem(response: Response, status: number, code: string): Promise<void> {
  assert.equal(response.status, status);
  assert.equal((await response.json()).error.code, code);
}

Deno.test("programs ask with JSON, people with the form of the first page", async () => {
  const front = new Front();
  const fields = { email: "ann@example.org", ethereum_address: ANN };
  const response = await front.json("/request", fields);
  assert.equal(response.status, 202);
  assert.equal((await response.json()).status, "accepted");
  const first = await assertPage(await front.ask("/"));
  const form = first.find(({ tagName }) => tagName === "form")!;
  const names = first.filter(({ tagName }) => tagName === "input")
    .map((input) => attribute(input, "name"));
  assert.deepEqual(names, Object.keys(fields));
  const answer = await front.form(attribute(form, "action")!, fields);
  assert.equal(answer.status, 202);
  says(await assertPage(answer), "on its way");
  const asked = { email: "ann@example.org", ethereumAddress: ANN, source: "127.0.0.1" };
  assert.deepEqual(front.asked, [asked, asked]);
});

Deno.test("looking at a token's page never pays, its button does", async () => {
  const front = new Front();
  for (const method of ["GET", "HEAD"]) await front.ask(`/redeem/${TOKEN}`, { method });
  const all = await assertPage(await front.ask(`/redeem/${TOKEN}`));
  says(all, ANN_TEXT);
  assert.equal(front.redeemed, 0);
  const hidden = all.find(({ tagName }) => tagName === "input")!;
  assert.deepEqual([attribute(hidden, "name"), attribute(hidden, "value")], ["token", TOKEN]);
  front.payout = { state: "pending", recipient: ANN, amount: 5n * 10n ** 16n };
  const pressed = await front.form("/redeem", { token: TOKEN });
  assert.equal(front.redeemed, 1);
  assert.equal(pressed.status, 303);
  assert.equal(pressed.headers.get("location"), `/redeem/${TOKEN}`);
  assert.equal(pressed.headers.get("referrer-policy"), "no-referrer");
});

Deno.test("a token's state is told in words and in JSON", async () => {
  const front = new Front();
  const amount = 5n * 10n ** 16n;
  const recipient = ANN;
  const states: readonly (readonly [Payout, number, RegExp])[] = [
    [{ state: "pending", recipient, amount }, 202, /0\.05 ETH will be/],
    [{ state: "paid", recipient, amount, transactionHash: HASH }, 200, /0x7777/],
    [{ state: "failed", recipient }, 200, /could not be paid/],
    [{ state: "enough", recipient }, 200, /0\.05 ETH or more already/],
  ];
  for (const [payout, status, words] of states) {
    front.payout = payout;
    says(await assertPage(await front.ask(`/redeem/${TOKEN}`)), words);
    const response = await front.json("/redeem", { token: TOKEN });
    assert.equal(response.status, status);
    const told = await response.json();
    assert.equal(told.state, payout.state);
    assert.equal(told.recipient, ANN_TEXT);
    assert.equal(told.amount, "amount" in payout ? "50000000000000000" : undefined);
    assert.equal(told.transactionHash, payout.state === "paid" ? HASH : undefined);
  }
  says(await assertPage(await front.form("/redeem", { token: TOKEN })), "already");
});

Deno.test("errors are told in words to people, and by code to programs", async () => {
  const front = new Front();
  front.problem = Problem.later("rate_limited", "Too <often>.", 59_500);
  const page = await front.form("/request", {});
  assert.equal(page.status, 429);
  assert.equal(page.headers.get("retry-after"), "60");
  const all = await assertPage(page);
  assert.equal(textOf(all.find((each) => attribute(each, "role") === "alert")!), "Too <often>.");
  await assertProblem(await front.json("/request", {}), 429, "rate_limited");
  front.problem = new Problem("token_expired", "Expired.");
  await assertProblem(await front.ask(`/redeem/${TOKEN}`), 410, "token_expired");
  const headers = { accept: "text/html,*/*" };
  says(await assertPage(await front.ask(`/redeem/${TOKEN}`, { headers })), "Expired");
  front.problem = new Error("a secret of ours");
  const fault = await front.json("/request", {});
  assert.equal(fault.status, 500);
  assert.ok(!(await fault.text()).includes("secret"));
});

Deno.test("what does not fit is refused with its code", async () => {
  const front = new Front();
  const post = (path: string, type: string, body: string) =>
    front.ask(path, { method: "POST", headers: { "content-type": type }, body });
  const json = "application/json";
  await assertProblem(await post("/request", json, "{"), 400, "request_invalid");
  await assertProblem(await post("/request", json, "[1]"), 400, "request_invalid");
  await assertProblem(await post("/request", json, "null"), 400, "request_invalid");
  await assertProblem(await post("/request", "text/plain", "{}"), 415, "media_type_unsupported");
  await assertProblem(
    await front.ask("/request", { method: "POST" }),
    415,
    "media_type_unsupported",
  );
  const long = await front.json("/request", { email: "a".repeat(2001) });
  await assertProblem(long, 400, "request_invalid");
  for (const path of ["/x", "/request/", "/__proto__", "/constructor", "//", "/redeem2"]) {
    await assertProblem(await front.ask(path), 404, "not_found");
  }
  for (
    const [method, path, allow] of [
      ["GET", "/request", "POST"],
      ["GET", "/redeem", "POST"],
      ["POST", `/redeem/${TOKEN}`, "GET, HEAD"],
      ["DELETE", "/", "GET, HEAD"],
      ["toString", "/health", "GET, HEAD"],
    ] as const
  ) {
    const response = await front.ask(path, { method });
    assert.equal(response.headers.get("allow"), allow);
    await assertProblem(response, 405, "method_not_allowed");
  }
  assert.deepEqual(front.asked, []);
});

Deno.test("fields of another type than text are as if they were absent", async () => {
  const front = new Front();
  await front.json("/request", { email: ["ann@example.org"], ethereum_address: { x: 1 } });
  assert.deepEqual(front.asked[0], { email: "", ethereumAddress: "", source: "127.0.0.1" });
});

Deno.test("limits count for whom a trusted proxy heard", async () => {
  const front = new Front();
  const headers = { "content-type": "application/json", "x-forwarded-for": "203.0.113.5" };
  await front.ask("/request", { method: "POST", headers, body: "{}" });
  assert.equal(front.asked[0]?.source, "203.0.113.5");
});

Deno.test("a subscriber's known fields are kept, others refused, within the limit", async () => {
  const front = new Front();
  const response = await front.json("/subscribe", { email: "ann@example.org", message: "=hi" });
  assert.equal(response.status, 201);
  assert.deepEqual(front.subscribed, [["ann@example.org", "", "", "=hi"]]);
  assert.deepEqual(front.counted, ["subscribe 127.0.0.1"]);
  const unknown = await front.json("/subscribe", { email: "ann@example.org", admin: "1" });
  await assertProblem(unknown, 400, "request_invalid");
  await assertProblem(await front.json("/subscribe", { name: "Ann" }), 400, "request_invalid");
  assert.equal(front.subscribed.length, 1);
});

Deno.test("health says what is missing, and by its status that something is", async () => {
  const front = new Front();
  const well = await front.ask("/health");
  assert.equal(well.status, 200);
  assert.deepEqual(await well.json(), { status: "ok", chain: true, mail: true, balance: true });
  front.health = { ...front.health, mail: false };
  const ill = await front.ask("/health");
  assert.equal(ill.status, 503);
  assert.deepEqual(await ill.json(), {
    status: "degraded",
    chain: true,
    mail: false,
    balance: true,
  });
});
