/** The faucet as a process, with its manifest's permissions, a real chain and a real mail server. */
import { toHex } from "@lloom/core/bytes";
import { generateIdentity } from "@lloom/core/identity";
import { missing } from "@lloom/host/foundry";
import assert from "node:assert/strict";
import { join } from "node:path";
import { FaucetPlace, TARGET } from "../support/faucet_place.ts";
import { kill, PROCESS_TEST } from "../support/network.ts";

function test(name: string, run: (place: FaucetPlace) => Promise<void>): void {
  Deno.test({
    name,
    ...PROCESS_TEST,
    async fn() {
      await using place = await FaucetPlace.open();
      if (place === undefined) return console.log(missing("anvil"));
      await run(place);
    },
  });
}

const someone = (): string => generateIdentity().address;

test("a mail's link fills an account up, once, and restarts remember it", async (place) => {
  const child = await place.start();
  const account = someone();
  const asked = await place.ask("Ann.Smith+lloom@example.org", account);
  assert.equal(asked.status, 202);
  const [mail, token] = [await place.mail.mail(1), await place.mail.token(1)];
  assert.deepEqual(mail.to, ["Ann.Smith+lloom@example.org"]);
  assert.equal(mail.from, "faucet@lloom.test");
  assert.match(mail.source, /^From: Lloom faucet <faucet@lloom\.test>\r?$/m);
  // Whoever only looks, such as a mail scanner, pays nothing.
  const page = await fetch(`${place.url}/redeem/${token}`);
  assert.match(await page.text(), /Fill it up/);
  assert.equal(await place.sent(), 0);
  const twice = await Promise.all([place.redeem(token), place.redeem(token)]);
  assert.deepEqual(twice.map(({ amount }) => amount), [`${TARGET}`, `${TARGET}`]);
  const paid = await place.paid(token);
  assert.equal(paid["state"], "paid");
  assert.equal(await place.balance(account), TARGET);
  const health = await fetch(`${place.url}/health`);
  assert.deepEqual(await health.json(), { status: "ok", chain: true, mail: true, balance: true });

  kill(child, "SIGTERM");
  const { code, stderr } = await child.ended;
  assert.equal(code, 0, stderr);
  for (const secret of [token, "Ann", "example.org", toHex(place.identity.exportPrivateKey())]) {
    assert.ok(!stderr.includes(secret), `the log holds ${secret}`);
  }
  await place.start();
  assert.deepEqual(await place.redeem(token), paid);
  assert.equal(await place.sent(), 1);
});

test("a token pays once though the faucet is killed before its payment is broadcast", async (place) => {
  const child = await place.start();
  const account = someone();
  await place.ask("ann@example.org", account);
  const token = await place.mail.token(1);
  const broadcast = Promise.withResolvers<void>();
  place.rpc.interfere = (method) => {
    if (method !== "eth_sendRawTransaction") return undefined;
    broadcast.resolve();
    throw new Error("the chain never hears of it");
  };
  assert.equal((await place.redeem(token))["state"], "pending");
  await broadcast.promise;
  kill(child, "SIGKILL");
  await child.ended;
  assert.equal(await place.sent(), 0);
  place.rpc.interfere = () => undefined;
  await place.start();
  assert.equal((await place.paid(token))["state"], "paid");
  assert.deepEqual([await place.sent(), await place.balance(account)], [1, TARGET]);
});

test("a token pays once though the faucet is killed before it hears of the broadcast", async (place) => {
  const child = await place.start();
  const account = someone();
  await place.ask("ann@example.org", account);
  const token = await place.mail.token(1);
  const broadcast = Promise.withResolvers<void>();
  place.rpc.interfere = async (method, params) => {
    if (method !== "eth_sendRawTransaction") return undefined;
    await place.rpc.ask(method, ...params);
    broadcast.resolve();
    throw new Error("the faucet never hears of it");
  };
  await place.redeem(token);
  await broadcast.promise;
  kill(child, "SIGKILL");
  await child.ended;
  place.rpc.interfere = () => undefined;
  await place.start();
  assert.equal((await place.paid(token))["state"], "paid");
  assert.deepEqual([await place.sent(), await place.balance(account)], [1, TARGET]);
});

test("strangers learn from no answer who had a mail, and bombs are refused", async (place) => {
  await place.start();
  const seen = async (response: Response) => ({
    status: response.status,
    body: await response.text(),
    headers: [...response.headers].filter(([name]) => name !== "date"),
  });
  const account = someone();
  const first = await seen(await place.ask("ann@example.org", account, "198.51.100.1"));
  await place.mail.mail(1);
  for (const spelling of ["ann@example.org", "ANN@example.org", "ann+x@example.org"]) {
    const again = await place.ask(spelling, account, "198.51.100.2");
    assert.deepEqual(await seen(again), first);
  }
  for (const i of [1, 2]) await place.ask(`other${i}@example.org`, account, "198.51.100.2");
  const bomb = await place.ask("ann2@example.org", account, "198.51.100.2");
  assert.equal(bomb.status, 429);
  assert.ok(Number(bomb.headers.get("retry-after")) > 3500);
  const injected = await place.ask("x@example.org\r\nBcc: victim@example.org", account);
  assert.equal((await injected.json()).error.code, "request_invalid");
  assert.equal((await place.ask("last@example.org", account, "198.51.100.9")).status, 202);
  await place.mail.mail(4);
  const recipients = place.mail.mails.flatMap(({ to }) => to).sort();
  const others = ["other1@example.org", "other2@example.org"];
  assert.deepEqual(recipients, ["ann@example.org", "last@example.org", ...others]);
});

test("a faucet without money, chain or mail server does not start, and says why", async (place) => {
  const ended = async (...args: readonly string[]) => {
    const started = place.start(args);
    return await started.then(
      () => assert.fail("it started"),
      (error: Error) => error.message,
    );
  };
  await place.fund(TARGET - 1n);
  const poor = await ended();
  assert.match(poor, /exit code 7/);
  assert.match(poor, /insufficient_funds.*less than its target balance; send money to 0x/);
  await place.fund(10n ** 18n);
  const elsewhere = await ended("--chain-id", "5");
  assert.match(elsewhere, /chain_mismatch/);
  assert.match(await ended("--smtp-host", "mail.example.org"), /mail\.tls must not be none/);
});

test("subscribers are kept in a file that no spreadsheet runs", async (place) => {
  await place.start();
  const fields = { email: "ann@example.org", name: "=HYPERLINK(1)", message: 'a "b"\r\n@c' };
  assert.equal((await place.post("/subscribe", fields)).status, 201);
  const [names, row] = (await Deno.readTextFile(join(place.dir, "subscribers.csv"))).split("\r\n");
  assert.equal(names, '"time","email","name","organization","message"');
  assert.match(row!, /^"\d{4}-[^"]+Z","ann@example\.org","'=HYPERLINK\(1\)","","a ""b"" @c"$/);
});
