/** The faucet's settings. @module */
import { checkBlockchain, type CommonConfig, commonSettings } from "./common_settings.ts";
import type { RoleSettings } from "./role_settings.ts";
import {
  flag,
  type Group,
  httpUrl,
  integer,
  list,
  oneOf,
  pattern,
  setting,
  text,
} from "./setting.ts";

/** `[faucet]` */
export interface FaucetServiceConfig {
  /** In whole units of the asset, as a person writes them. */
  readonly targetBalance: string;
  /** The most mails sent in an hour, to whomever. */
  readonly mailsPerHour: number;
}

/** `[http]` */
export interface HttpConfig {
  /** An address of this machine. */
  readonly host: string;
  /** TCP port; 0 for any free one. */
  readonly port: number;
  /** How people reach the faucet; absent: where it listens. */
  readonly publicUrl: string | undefined;
  /** Addresses of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Connections at once. */
  readonly maxConnections: number;
}

/** `[mail]` */
export interface MailConfig {
  /** Whether mails are printed instead of sent; checked to be for this machine alone. */
  readonly print: boolean;
  /** The mail server's name or address; checked to be there. */
  readonly smtpHost: string | undefined;
  /** Its TCP port. */
  readonly smtpPort: number;
  /** How the connection is encrypted. */
  readonly tls: "starttls" | "implicit" | "none";
  /** Absent: no login. */
  readonly user: string | undefined;
  /** From the environment only. */
  readonly password: string | undefined;
  /** The sender's address; checked to be there. */
  readonly from: string | undefined;
}

/** A faucet's configuration. */
export interface FaucetConfig extends CommonConfig {
  /** `[faucet]` */
  readonly faucet: FaucetServiceConfig;
  /** `[http]` */
  readonly http: HttpConfig;
  /** `[mail]` */
  readonly mail: MailConfig;
}

const SERVICE: Group<FaucetServiceConfig> = {
  kind: "group",
  doc: "What the faucet gives: as much as an account lacks of the target balance.",
  table: {
    targetBalance: setting(
      pattern(/^[0-9]{1,30}(?:\.[0-9]{1,30})?$/, "a decimal number"),
      "0.05",
      "The balance that an account is filled up to, in whole units of `blockchain.asset`.",
      { env: "LLOOM_TARGET_BALANCE", flag: "--target-balance <amount>" },
    ),
    mailsPerHour: setting(
      integer(1, 100_000),
      60,
      "The most mails sent in an hour, to whomever; it also bounds what can be drawn in an hour.",
    ),
  },
};

const IP = pattern(/^[0-9a-fA-F:.]{2,45}$/, "an IP address");

const HTTP: Group<HttpConfig> = {
  kind: "group",
  doc: "Where the faucet listens. For the public, put a proxy with TLS before it.",
  table: {
    host: setting(IP, "127.0.0.1", "Address of this machine to listen on.", {
      env: "LLOOM_HTTP_HOST",
      flag: "--host <address>",
    }),
    port: setting(integer(0, 65_535), 3030, "TCP port to listen on; 0 for any free one.", {
      env: "LLOOM_HTTP_PORT",
      flag: "--port <number>",
    }),
    publicUrl: setting(
      httpUrl(),
      undefined,
      "How people reach the faucet; the links in its mails begin with it.",
      {
        env: "LLOOM_PUBLIC_URL",
        flag: "--public-url <url>",
        fallbackText: "http://<host>:<port>",
      },
    ),
    trustedProxies: setting(
      list(IP, 16),
      [],
      "Addresses of proxies before the faucet: only their `X-Forwarded-For` is believed.",
      { env: "LLOOM_TRUSTED_PROXIES" },
    ),
    maxConnections: setting(integer(1, 65_536), 256, "Connections kept at once."),
  },
};

const MAIL: Group<MailConfig> = {
  kind: "group",
  doc: "The mail server that the faucet sends its mails through.",
  table: {
    print: setting(
      flag(),
      false,
      "Print mails on standard output instead of sending them, for a network on one machine: " +
        "whoever reads them can redeem their tokens.",
      { env: "LLOOM_PRINT_MAILS" },
    ),
    smtpHost: setting(
      pattern(/^[A-Za-z0-9.:-]{1,253}$/, "a host name or an address"),
      undefined,
      "Name or address of the mail server. Required, unless mails are printed.",
      { env: "LLOOM_SMTP_HOST", flag: "--smtp-host <host>" },
    ),
    smtpPort: setting(integer(1, 65_535), 587, "Its TCP port.", {
      env: "LLOOM_SMTP_PORT",
      flag: "--smtp-port <number>",
    }),
    tls: setting(
      oneOf(["starttls", "implicit", "none"] as const),
      "starttls",
      "How the connection is encrypted: after `STARTTLS`, from its beginning (port 465), or, on " +
        "this machine only, not at all.",
      { env: "LLOOM_SMTP_TLS", flag: "--smtp-tls <mode>" },
    ),
    user: setting(text(256), undefined, "Who logs in there.", { env: "LLOOM_SMTP_USER" }),
    password: setting(text(1024), undefined, "Their password.", {
      env: "LLOOM_SMTP_PASSWORD",
      notInFile: "a password does not belong in a configuration file; use LLOOM_SMTP_PASSWORD",
    }),
    from: setting(
      pattern(/^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,189}$/, "a mail address without a name"),
      undefined,
      "The mails' sender. Required, unless mails are printed.",
      { env: "LLOOM_MAIL_FROM", flag: "--mail-from <address>" },
    ),
  },
};

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

/** The faucet's settings and their rules. */
export const FAUCET_SETTINGS: RoleSettings<FaucetConfig> = {
  role: "faucet",
  table: {
    faucet: SERVICE,
    http: HTTP,
    mail: MAIL,
    ...commonSettings({ logLevel: "info" }),
  },
  check(config, refuse) {
    checkBlockchain(config, refuse);
    const { print, smtpHost, tls, user, password } = config.mail;
    if (print && !LOOPBACK.test(config.http.host)) {
      refuse("mail.print", "must be false where others than this machine reach the faucet");
    }
    if ((user === undefined) !== (password === undefined)) {
      refuse("mail.user", "and mail.password must be given together");
    }
    if (tls === "none" && smtpHost !== undefined && !LOOPBACK.test(smtpHost)) {
      refuse("mail.tls", "must not be none for a mail server on another machine");
    }
  },
};
