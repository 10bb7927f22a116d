/** A mail server on this machine that keeps what it is sent. @module */
import { once } from "node:events";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";

/** A mail as the server took it. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and text, as they were sent. */
  readonly source: string;
}

/** A running mail server. */
export class MailServer implements AsyncDisposable {
  readonly mails: Mail[] = [];
  readonly #server: SMTPServer;
  #arrived = Promise.withResolvers<void>();

  private constructor(options: SMTPServerOptions) {
    this.#server = new SMTPServer({
      disabledCommands: ["AUTH"],
      disableReverseLookup: true,
      // It warns of its built-in certificate, which tests want to be refused.
      logger: false,
      ...options,
      onData: (stream, session, done) => {
        const { mailFrom, rcptTo } = session.envelope;
        const parts: Uint8Array[] = [];
        stream.on("data", (part: Uint8Array) => parts.push(part));
        stream.on("end", () => {
          this.mails.push({
            from: mailFrom === false ? "" : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            source: parts.map((part) => new TextDecoder().decode(part)).join(""),
          });
          done();
          this.#arrived.resolve();
          this.#arrived = Promise.withResolvers();
        });
      },
    });
    // A sender that breaks off is no fault of the test.
    this.#server.on("error", () => {});
  }

  /** Starts one on a free port. */
  static async start(options: SMTPServerOptions = {}): Promise<MailServer> {
    const mail = new MailServer(options);
    const listening = once(mail.#server.listen(0, "127.0.0.1"), "listening");
    await listening;
    return mail;
  }

  get port(): number {
    const address = this.#server.server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return address.port;
  }

  /** The n-th mail, counted from 1, once it is there. */
  async mail(n: number): Promise<Mail> {
    while (this.mails.length < n) await this.#arrived.promise;
    return this.mails[n - 1]!;
  }

  /** The token in the n-th mail. */
  async token(n: number): Promise<string> {
    const { source } = await this.mail(n);
    // Quoted-printable text breaks lines and writes `=` as `=3D`; a token has neither.
    const text = source.replaceAll(/=\r?\n/g, "");
    const token = /\/redeem\/([A-Za-z0-9_-]{43})/.exec(text)?.[1];
    if (token === undefined) throw new Error(`no link in the mail:\n${source}`);
    return token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(closed.resolve);
    await closed.promise;
  }
}
