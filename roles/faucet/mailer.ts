/** Sends mails through a mail server. @module */
import { LloomError } from "@lloom/core/errors";
import type { MailConfig } from "@lloom/host/config";
import { createTransport, type Transporter } from "nodemailer";

/** How long the mail server may be silent. */
const TIMEOUT_MS = 15_000;

/** Brings tokens to those who asked for them. */
export interface Mailer {
  /**
   * Sends a token.
   * @param address as `parseMailAddress` lets it through
   * @param link the page that redeems the token
   * @throws {LloomError} `internal` if the mail is not taken
   */
  sendToken(address: string, token: string, link: string): Promise<void>;
  /** Whether mails are taken now. */
  reachable(): Promise<boolean>;
  /** Lets go of what it holds. */
  close(): void;
}

/** A mail that is printed, not sent. */
export interface PrintedMail {
  /** To whom. */
  readonly to: string;
  /** The page that redeems its token. */
  readonly link: string;
}

/** Prints, for a network on one machine. */
export class PrintingMailer implements Mailer {
  readonly #print: (mail: PrintedMail) => void;

  /** One that has mails printed. */
  constructor(print: (mail: PrintedMail) => void) {
    this.#print = print;
  }

  sendToken(address: string, _token: string, link: string): Promise<void> {
    this.#print({ to: address, link });
    return Promise.resolve();
  }

  reachable(): Promise<boolean> {
    return Promise.resolve(true);
  }

  close(): void {}
}

/** A mail server, for as long as each mail takes. */
export class SmtpMailer implements Mailer {
  readonly #transport: Transporter;
  readonly #from: string;

  /**
   * A mailer; connects to nothing yet.
   * @throws {LloomError} `config_invalid` if server or sender are not given
   */
  constructor(config: MailConfig) {
    const { smtpHost, smtpPort, tls, user, password, from } = config;
    if (smtpHost === undefined || from === undefined) {
      const missing = smtpHost === undefined ? "smtp_host" : "from";
      throw new LloomError("config_invalid", `start faucet: mail.${missing} must be given`);
    }
    this.#from = from;
    this.#transport = createTransport({
      host: smtpHost,
      port: smtpPort,
      secure: tls === "implicit",
      requireTLS: tls === "starttls",
      ignoreTLS: tls === "none",
      ...(user !== undefined && password !== undefined && { auth: { user, pass: password } }),
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  async sendToken(address: string, token: string, link: string): Promise<void> {
    try {
      await this.#transport.sendMail({
        // Named apart from the headers, so that nothing in them can add a recipient.
        envelope: { from: this.#from, to: [address] },
        from: { name: "Lloom faucet", address: this.#from },
        to: { name: "", address },
        subject: "Your token for the Lloom faucet",
        headers: { "Auto-Submitted": "auto-generated" },
        text: letter(link, token),
      });
    } catch (error) {
      throw new LloomError("internal", "send mail: the mail server did not take it", {
        cause: error,
      });
    }
  }

  async reachable(): Promise<boolean> {
    return await this.#transport.verify().then(() => true, () => false);
  }

  close(): void {
    this.#transport.close();
  }
}

function letter(link: string, token: string): string {
  return `Somebody, hopefully you, asked the Lloom faucet to fill up an account.

To have it done, open this page within 15 minutes and press its button:

${link}

Or send the token yourself:

${token}

If it was not you, there is nothing to do: without the button nothing is paid.
`;
}
