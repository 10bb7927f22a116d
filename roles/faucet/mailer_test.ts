import assert from "node:assert/strict";
import type { MailConfig } from "@lloom/host/config";
import { MailServer } from "../../tests/support/mail_server.ts";
import { SmtpMailer } from "./mailer.ts";

const TOKEN = "A".repeat(43);
const LINK = `http://127.0.0.1:3030/redeem/${TOKEN}`;

function configOf(server: MailServer, config: Partial<MailConfig> = {}): MailConfig {
  return {
    print: false,
    smtpHost: "127.0.0.1",
    smtpPort: server.port,
    tls: "none",
    user: undefined,
    password: undefined,
    from: "faucet@lloom.test",
    ...config,
  };
}

async function sending(
  server: MailServer,
  config: Partial<MailConfig>,
  use: (mailer: SmtpMailer) => Promise<void>,
): Promise<void> {
  const mailer = new SmtpMailer(configOf(server, config));
  try {
    await use(mailer);
  } finally {
    mailer.close();
  }
}

Deno.test("a mail has one recipient, the link, and headers that no robot answers", async () => {
  await using server = await MailServer.start();
  await sending(server, {}, async (mailer) => {
    assert.equal(await mailer.reachable(), true);
    await mailer.sendToken("o'ann+x@example.org", TOKEN, LINK);
  });
  const { to, source } = await server.mail(1);
  assert.deepEqual(to, ["o'ann+x@example.org"]);
  assert.match(source, /^To: o'ann\+x@example\.org\r$/m);
  assert.match(source, /^Auto-Submitted: auto-generated\r$/m);
  assert.doesNotMatch(source, /^(?:Bcc|Cc|Reply-To):/mi);
  assert.equal(await server.token(1), TOKEN);
});

Deno.test("nothing is sent without the encryption asked for, or to whom has no right name", async () => {
  await using bare = await MailServer.start({ hideSTARTTLS: true });
  await using forged = await MailServer.start();
  for (
    const [server, tls] of [[bare, "starttls"], [forged, "starttls"], [bare, "implicit"]] as const
  ) {
    await sending(server, { tls }, async (mailer) => {
      assert.equal(await mailer.reachable(), false);
      await assert.rejects(mailer.sendToken("ann@example.org", TOKEN, LINK), { code: "internal" });
    });
    assert.deepEqual(server.mails, []);
  }
});

Deno.test("the server's refusal is an error that names no address", async () => {
  await using server = await MailServer.start({
    onRcptTo: (_address, _session, done) => done(new Error("no ann@example.org here")),
  });
  await sending(server, {}, async (mailer) => {
    await assert.rejects(mailer.sendToken("ann@example.org", TOKEN, LINK), (error: Error) => {
      assert.doesNotMatch(error.message, /ann|example/);
      return true;
    });
  });
});

Deno.test("a faucet logs in where it has a user and a password", async () => {
  const seen: string[] = [];
  await using server = await MailServer.start({
    disabledCommands: [],
    allowInsecureAuth: true,
    onAuth({ username, password }, _session, done) {
      seen.push(`${username}:${password}`);
      done(null, { user: username });
    },
  });
  await sending(server, { user: "u", password: "p" }, async (mailer) => {
    await mailer.sendToken("ann@example.org", TOKEN, LINK);
  });
  assert.deepEqual(seen, ["u:p"]);
});

Deno.test("server and sender must be given", () => {
  for (const missing of ["smtpHost", "from"] as const) {
    const config = { tls: "none", smtpPort: 25, smtpHost: "127.0.0.1", from: "a@b.cd" } as const;
    const all = { print: false, ...config, user: undefined, password: undefined };
    assert.throws(() => new SmtpMailer({ ...all, [missing]: undefined }), {
      code: "config_invalid",
    });
  }
});
