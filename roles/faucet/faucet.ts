/** A faucet: gives a little money to whoever has a mail address. @module */
import { LloomError } from "@lloom/core/errors";
import { type Identity, toChecksumAddress } from "@lloom/core/identity";
import { type Amount, type Asset, formatAmount, parseAmount } from "@lloom/core/payments";
import type { ChainReader, Outbox } from "@lloom/core/payments/chain";
import type { Clock } from "@lloom/core/ports";
import type { FaucetConfig } from "@lloom/host/config";
import { type HttpServer, serveHttp } from "@lloom/host/http";
import { appendCsvRow, SqliteFaucetStore } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { HealthCheck } from "./health.ts";
import type { Mailer } from "./mailer.ts";
import { Payouts } from "./payouts.ts";
import { Requests } from "./requests.ts";
import { createRoutes, SUBSCRIBER_FIELDS } from "./routes.ts";

const log = getLogger(["lloom", "faucet"]);

/** No request of ours is longer. */
const MAX_BODY_BYTES = 16_384;
/** Beyond this nobody subscribes any more: the disk is not strangers' to fill. */
const MAX_CSV_BYTES = 16 << 20;

/** What a faucet works with. */
export interface FaucetComponents {
  /** Tells balances. */
  readonly reader: Pick<ChainReader, "asset" | "balance" | "gasCost" | "head">;
  /** Sends money; of the identity's account. */
  readonly outbox: Pick<Outbox, "account" | "submit" | "confirmed">;
  /** Sends mails; closed with the faucet. */
  readonly mailer: Mailer;
  /** The system's. */
  readonly clock: Pick<Clock, "now">;
}

interface Parts {
  readonly store: SqliteFaucetStore;
  readonly mailer: Mailer;
  readonly requests: Requests;
  readonly payouts: Payouts;
}

/** A faucet at work. */
export class Faucet {
  /** Where it listens. */
  readonly url: string;
  /** What it gives. */
  readonly asset: Asset;
  readonly #server: HttpServer;
  readonly #parts: Parts;

  private constructor(url: string, asset: Asset, server: HttpServer, parts: Parts) {
    this.url = url;
    this.asset = asset;
    this.#server = server;
    this.#parts = parts;
  }

  /**
   * Goes on with what was promised, and listens.
   * @throws {LloomError} `config_invalid`, `chain_unavailable`, `chain_mismatch`, or
   * `insufficient_funds` if not even one account could be filled up
   */
  static async start(
    identity: Identity,
    config: FaucetConfig,
    components: FaucetComponents,
  ): Promise<Faucet> {
    const { reader, outbox, mailer, clock } = components;
    const { host, port, maxConnections, trustedProxies } = config.http;
    const asset = await reader.asset(config.blockchain.asset);
    const target = parseAmount(config.faucet.targetBalance, asset);
    const store = new SqliteFaucetStore(join(config.storage.dataDir, "faucet.db"));
    const payouts = new Payouts({ asset, target }, { store, reader, outbox, clock });
    try {
      await assertFunds(target, asset, store, components);
      await payouts.resume();
      // Without a public URL, its port is known only once it listens.
      let base = config.http.publicUrl?.replace(/\/+$/, "") ?? "";
      const requests = new Requests(config.faucet, {
        ...{ store, mailer, clock },
        secret: secretOf(identity),
        account: outbox.account,
        linkTo: (token) => `${base}/redeem/${token}`,
      });
      const health = new HealthCheck({
        chain: () => reader.head().then(() => true),
        mail: () => mailer.reachable(),
        balance: async () => await reader.balance(asset.address, outbox.account) >= target,
      }, { clock });
      const handler = createRoutes(
        { asset, target: formatAmount(target, asset), trustedProxies },
        {
          ...{ requests, payouts, health },
          subscribe: (fields) =>
            subscribe(config, [new Date(clock.now()).toISOString(), ...fields]),
        },
      );
      if (!await mailer.reachable()) log.warn("the mail server cannot be reached");
      const limits = { maxConnections, maxBodyBytes: MAX_BODY_BYTES };
      const server = await serveHttp({ host, port, ...limits }, handler);
      const url = `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
      base ||= url;
      return new Faucet(url, asset, server, { store, mailer, requests, payouts });
    } catch (error) {
      await payouts.stop();
      store.close();
      throw error;
    }
  }

  /** Stops listening; mails under way are sent, payments under way go on at the next start. */
  async stop(): Promise<void> {
    const { store, mailer, requests, payouts } = this.#parts;
    await this.#server.stop();
    await requests.settled();
    await payouts.stop();
    mailer.close();
    store.close();
  }
}

/** Better not to start than to send mails that cannot be kept; what was promised comes first. */
async function assertFunds(
  target: Amount,
  asset: Asset,
  store: SqliteFaucetStore,
  { reader, outbox }: FaucetComponents,
): Promise<void> {
  const funds = await reader.balance(asset.address, outbox.account);
  if (funds >= target) return;
  const message = `start faucet: it has ${formatAmount(funds, asset)}, less than its target ` +
    `balance; send money to ${toChecksumAddress(outbox.account)}`;
  if (store.promised().length === 0) throw new LloomError("insufficient_funds", message);
  log.warn("{message}", { message });
}

/** Not on disk beside what it hides, and the same after a restart. */
function secretOf(identity: Identity): Uint8Array {
  const key = identity.exportPrivateKey();
  return createHmac("sha256", key).update("lloom faucet: hide addresses").digest();
}

function subscribe(config: FaucetConfig, cells: readonly string[]): void {
  const path = join(config.storage.dataDir, "subscribers.csv");
  appendCsvRow({ path, columns: ["time", ...SUBSCRIBER_FIELDS], maxBytes: MAX_CSV_BYTES }, cells);
}
