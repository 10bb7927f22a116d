import assert from "node:assert/strict";
import { SqliteFaucetStore } from "@lloom/host/stores";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { ACCOUNT, type MailedToken, takeRequests } from "../../tests/support/faucet.ts";
import { hashOfToken, type Requests } from "./requests.ts";

const ANN = `0x${"a1".repeat(20)}`;
const HOUR_MS = 3_600_000;

interface Bench {
  readonly requests: Requests;
  readonly store: SqliteFaucetStore;
  readonly clock: { ms: number; now(): number };
  readonly mails: readonly MailedToken[];
  /** Asks, and waits until the mail is sent, if there is one. */
  readonly ask: (email: string, source?: string, account?: string) => Promise<void>;
}

interface BenchOptions {
  readonly path?: string;
  readonly mailsPerHour?: number;
  readonly mailFails?: () => boolean;
}

async function bench(use: (bench: Bench) => Promise<void>, options: BenchOptions = {}) {
  const clock = { ms: 100 * HOUR_MS, now: () => clock.ms };
  const store = new SqliteFaucetStore(options.path ?? ":memory:");
  const { requests, mails } = takeRequests({ store, clock }, options);
  const ask = async (email: string, source = email, account = ANN) => {
    requests.request({ email, ethereumAddress: account, source });
    await requests.settled();
  };
  try {
    await use({ requests, store, clock, mails, ask });
  } finally {
    store.close();
  }
}

const limited = { code: "rate_limited" };

Deno.test("a request sends a token of 256 bits, which the database knows by its hash", () =>
  bench(async ({ ask, mails, store }) => {
    await ask("ann@example.org");
    const [mail] = mails;
    assert.equal(mail?.address, "ann@example.org");
    assert.equal(Uint8Array.fromBase64(mail.token, { alphabet: "base64url" }).length, 32);
    assert.equal(mail.link, `https://faucet.test/redeem/${mail.token}`);
    assert.equal(store.claim(hashOfToken(mail.token)!)?.recipient, ANN);
  }));

Deno.test("one person gets one mail a day, and whoever asks does not learn of it", () =>
  bench(async ({ ask, mails, clock }) => {
    const spellings = ["ann@gmail.com", "A.n.n@gmail.com", "ann+2@googlemail.com"];
    for (const [i, email] of spellings.entries()) await ask(email, `source${i}`);
    assert.equal(mails.length, 1);
    clock.ms += 24 * HOUR_MS - 1;
    await ask("ann@gmail.com", "later");
    assert.equal(mails.length, 1);
    clock.ms += 1;
    await ask("ann@gmail.com", "next day");
    assert.equal(mails.length, 2);
  }));

Deno.test("one source asks five times an hour, whether mails were sent or not", () =>
  bench(async ({ ask, clock, mails }) => {
    for (let i = 0; i < 5; i++) await ask(i < 3 ? "ann@example.org" : `p${i}@example.org`, "there");
    clock.ms += 1000;
    await assert.rejects(ask("new@example.org", "there"), {
      ...limited,
      headers: { "retry-after": "3599" },
    });
    await ask("new@example.org", "elsewhere");
    clock.ms += HOUR_MS;
    await ask("newer@example.org", "there");
    assert.equal(mails.length, 5);
  }));

Deno.test("no more than so many mails are sent in an hour, whoever asks", () =>
  bench(async ({ ask, clock, mails }) => {
    for (let i = 0; i < 3; i++) await ask(`p${i}@example.org`);
    await assert.rejects(ask("p4@example.org"), limited);
    // Neither can one tell at that moment who had a mail.
    await assert.rejects(ask("p0@example.org", "other"), limited);
    clock.ms += HOUR_MS;
    await ask("p4@example.org");
    assert.equal(mails.length, 4);
  }, { mailsPerHour: 3 }));

Deno.test("a mail that could not be sent leaves its person free to ask again", () => {
  let fails = true;
  return bench(async ({ ask, mails }) => {
    await ask("ann@example.org");
    assert.equal(mails.length, 0);
    fails = false;
    await ask("ann@example.org");
    assert.equal(mails.length, 1);
  }, { mailFails: () => fails });
});

Deno.test("what is no mail address, or no account to pay, is refused before it counts", () =>
  bench(async ({ ask, mails }) => {
    const bad = { code: "request_invalid" };
    for (const email of ["", "ann", "ann@example.org\r\nBcc: eve@example.org", "a@b@c.de"]) {
      await assert.rejects(ask(email, "there"), bad);
    }
    const mistyped = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD".replace("aA", "Aa");
    const accounts = ["", "0x", ANN.slice(1), `${ANN}0`, `0x${"0".repeat(40)}`, ACCOUNT, mistyped];
    for (const account of accounts) {
      await assert.rejects(ask("ann@example.org", "there", account), bad, account);
    }
    await ask("ann@example.org", "there", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
    assert.equal(mails.length, 1);
  }));

Deno.test("limits survive a restart, addresses are not on disk, and old rows go", async () => {
  const dir = await Deno.makeTempDir();
  const path = join(dir, "faucet.db");
  try {
    await bench(async ({ ask }) => {
      for (let i = 0; i < 5; i++) await ask("ann@example.org", "192.0.2.77");
    }, { path });
    await bench(async ({ ask, mails, clock }) => {
      await assert.rejects(ask("bob@example.org", "192.0.2.77"), limited);
      await ask("ann@example.org", "elsewhere");
      assert.equal(mails.length, 0);
      clock.ms += 24 * HOUR_MS;
      await ask("ann@example.org", "192.0.2.77");
      assert.equal(mails.length, 1);
    }, { path });
    const database = new DatabaseSync(path);
    const count = (table: string) =>
      database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"];
    assert.deepEqual([count("attempt"), count("claim")], [1, 1]);
    database.close();
    for await (const { name } of Deno.readDir(dir)) {
      const bytes = await Deno.readTextFile(join(dir, name));
      for (const secret of ["ann", "example.org", "192.0.2.77"]) {
        assert.ok(!bytes.includes(secret), `${name}: ${secret}`);
      }
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
