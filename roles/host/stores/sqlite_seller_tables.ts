/** An executor's tables in SQLite. @module */
import { fromHex, type Hash } from "@lloom/core/bytes";
import type {
  Page,
  PaidReceipt,
  Sale,
  seller,
  SellerAccount,
  SellerTables,
} from "@lloom/core/payments";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  CHANNEL_COLUMNS,
  CHANNEL_SQL,
  type FlatChannel,
  flatten,
  signedRequest,
  signedResponse,
  unflatten,
} from "./channel_columns.ts";
import {
  bytes,
  type Columns,
  decimal,
  flag,
  hex,
  integer,
  RowFormat,
  type SqlRow,
  text,
} from "./columns.ts";

/** See `DatabaseOptions.migrations`. A step that was ever released is never changed. */
export const SELLER_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE channel (${CHANNEL_SQL},
    acknowledged INTEGER NOT NULL,
    unpaid TEXT NOT NULL,
    consented INTEGER NOT NULL,
    voucher_amount TEXT,
    voucher_requests TEXT,
    voucher_inbound_tokens TEXT,
    voucher_outbound_tokens TEXT,
    voucher_root BLOB,
    voucher_signature BLOB,
    voucher_ms INTEGER,
    since_ms INTEGER
  ) STRICT;
  CREATE INDEX channel_redeemable ON channel (since_ms) WHERE since_ms IS NOT NULL;
  CREATE TABLE sale (
    n INTEGER PRIMARY KEY,
    request_hash BLOB NOT NULL UNIQUE,
    channel_id BLOB NOT NULL REFERENCES channel (channel_id),
    client BLOB NOT NULL,
    state TEXT NOT NULL,
    max_cost TEXT NOT NULL,
    paid TEXT NOT NULL,
    cost TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    leaf_index INTEGER,
    request BLOB NOT NULL,
    response BLOB,
    response_hash BLOB
  ) STRICT;
  CREATE INDEX sale_unfinished ON sale (n) WHERE ended_ms IS NULL;
  CREATE INDEX sale_ended ON sale (ended_ms) WHERE ended_ms IS NOT NULL`,
  `
  ALTER TABLE channel ADD COLUMN under_way INTEGER NOT NULL DEFAULT 0;
  UPDATE channel SET under_way = (SELECT count(*) FROM sale
    WHERE sale.channel_id = channel.channel_id AND ended_ms IS NULL)`,
];

/** An account with its voucher's fields side by side. */
interface AccountRow extends FlatChannel {
  readonly acknowledged: number;
  readonly unpaid: bigint;
  readonly underWay: number;
  readonly consented: boolean;
  readonly voucherAmount?: bigint;
  readonly voucherRequests?: bigint;
  readonly voucherInboundTokens?: bigint;
  readonly voucherOutboundTokens?: bigint;
  readonly voucherRoot?: Hash;
  readonly voucherSignature?: Uint8Array;
  readonly voucherMs?: number;
  readonly sinceMs?: number;
}

const ACCOUNT = new RowFormat<AccountRow>({
  ...CHANNEL_COLUMNS,
  acknowledged: integer,
  unpaid: decimal,
  underWay: integer,
  consented: flag,
  voucherAmount: decimal,
  voucherRequests: decimal,
  voucherInboundTokens: decimal,
  voucherOutboundTokens: decimal,
  voucherRoot: hex,
  voucherSignature: bytes,
  voucherMs: integer,
  sinceMs: integer,
});

const MONEY: Columns<seller.SellerRequest> = {
  requestHash: hex,
  channelId: hex,
  state: text(),
  maxCost: decimal,
  paid: decimal,
  cost: decimal,
  responseHash: hex,
  leafIndex: integer,
};
const REQUEST = new RowFormat(MONEY);
const SALE = new RowFormat<Sale>({
  ...MONEY,
  client: hex,
  startedMs: integer,
  endedMs: integer,
  request: signedRequest,
  response: signedResponse,
});

/** {@linkcode SellerTables} on a database that has {@linkcode SELLER_MIGRATIONS}. */
export class SqliteSellerTables implements SellerTables {
  readonly #account: StatementSync;
  readonly #accounts: StatementSync;
  readonly #redeemable: StatementSync;
  readonly #putAccount: StatementSync;
  readonly #addSale: StatementSync;
  readonly #request: StatementSync;
  readonly #putRequest: StatementSync;
  readonly #removeRequest: StatementSync;
  readonly #prune: StatementSync;
  readonly #putReceipt: StatementSync;
  readonly #unfinished: StatementSync;
  readonly #sales: StatementSync;
  readonly #endedSince: StatementSync;

  /** Prepares all statements. */
  constructor(database: DatabaseSync) {
    const prepare = (sql: string) => database.prepare(sql);
    this.#account = prepare(`SELECT ${ACCOUNT.names} FROM channel WHERE channel_id = ?`);
    this.#accounts = prepare(`SELECT ${ACCOUNT.names} FROM channel ORDER BY n DESC`);
    this.#redeemable = prepare(
      `SELECT ${ACCOUNT.names} FROM channel WHERE since_ms IS NOT NULL ORDER BY since_ms, n`,
    );
    this.#putAccount = prepare(ACCOUNT.upsertInto("channel", "channel_id"));
    this.#addSale = prepare(SALE.insertInto("sale"));
    this.#request = prepare(`SELECT ${REQUEST.names} FROM sale WHERE request_hash = ?`);
    this.#putRequest = prepare(
      `UPDATE sale SET state = ?, paid = ?, cost = ?, response_hash = ?, leaf_index = ?,
        ended_ms = coalesce(ended_ms, ?) WHERE request_hash = ?`,
    );
    this.#removeRequest = prepare("DELETE FROM sale WHERE request_hash = ?");
    this.#prune = prepare(
      `DELETE FROM sale WHERE n IN (SELECT sale.n FROM sale JOIN channel USING (channel_id)
        WHERE ended_ms < ? AND status = 'closed' ORDER BY ended_ms LIMIT ?)`,
    );
    this.#putReceipt = prepare(
      "UPDATE sale SET response = ?, response_hash = ? WHERE request_hash = ?",
    );
    this.#unfinished = prepare(
      `SELECT ${REQUEST.names} FROM sale WHERE ended_ms IS NULL ORDER BY n`,
    );
    this.#sales = prepare(
      `SELECT ${SALE.names} FROM sale
        WHERE ?1 IS NULL OR n < (SELECT n FROM sale WHERE request_hash = ?1)
        ORDER BY n DESC LIMIT ?2`,
    );
    this.#endedSince = prepare(
      `SELECT ${SALE.names} FROM sale WHERE ended_ms >= ? ORDER BY ended_ms, n`,
    );
  }

  account(channelId: Hash): SellerAccount | undefined {
    const row = this.#account.get(fromHex(channelId));
    return row && readAccount(row);
  }

  accounts(): readonly SellerAccount[] {
    return this.#accounts.all().map(readAccount);
  }

  redeemable(): readonly (SellerAccount & { readonly sinceMs: number })[] {
    return this.#redeemable.all().map((row) => {
      const account = readAccount(row);
      return { ...account, sinceMs: account.sinceMs! };
    });
  }

  putAccount({ channel: { voucher: signed, ...channel }, ...times }: SellerAccount): void {
    this.#putAccount.run(...ACCOUNT.values({
      ...flatten(channel),
      ...times,
      ...(signed && {
        voucherAmount: signed.voucher.cumulativeAmount,
        voucherRequests: signed.voucher.requests,
        voucherInboundTokens: signed.voucher.inboundTokens,
        voucherOutboundTokens: signed.voucher.outboundTokens,
        voucherRoot: signed.voucher.receiptsRoot,
        voucherSignature: signed.signature,
      }),
    }));
  }

  addSale(sale: Sale): void {
    this.#addSale.run(...SALE.values(sale));
  }

  request(requestHash: Hash): seller.SellerRequest | undefined {
    const row = this.#request.get(fromHex(requestHash));
    return row && REQUEST.read(row);
  }

  putRequest(request: seller.SellerRequest, endedMs?: number): void {
    const { requestHash, state, paid, cost, responseHash, leafIndex } = request;
    const response = responseHash === undefined ? null : fromHex(responseHash);
    const money = [state, String(paid), String(cost), response, leafIndex ?? null];
    this.#putRequest.run(...money, endedMs ?? null, fromHex(requestHash));
  }

  removeRequest(requestHash: Hash): void {
    this.#removeRequest.run(fromHex(requestHash));
  }

  prune(beforeMs: number, limit: number): number {
    return Number(this.#prune.run(beforeMs, limit).changes);
  }

  putReceipt(requestHash: Hash, { response, responseHash }: PaidReceipt): void {
    const message = signedResponse.write(response);
    this.#putReceipt.run(message, fromHex(responseHash), fromHex(requestHash));
  }

  unfinished(): readonly seller.SellerRequest[] {
    return this.#unfinished.all().map((row) => REQUEST.read(row));
  }

  sales({ limit, before }: Page): readonly Sale[] {
    const last = before === undefined ? null : fromHex(before);
    return this.#sales.all(last, limit).map((row) => SALE.read(row));
  }

  *endedSince(sinceMs: number): Iterable<Sale> {
    for (const row of this.#endedSince.iterate(sinceMs)) yield SALE.read(row);
  }
}

function readAccount(row: SqlRow): SellerAccount {
  const {
    voucherAmount,
    voucherRequests,
    voucherInboundTokens,
    voucherOutboundTokens,
    voucherRoot,
    voucherSignature,
    voucherMs,
    sinceMs,
    ...flat
  } = ACCOUNT.read(row);
  const { channelId } = flat;
  return {
    channel: {
      ...unflatten(flat),
      ...(voucherAmount !== undefined && {
        voucher: {
          voucher: {
            channelId,
            cumulativeAmount: voucherAmount,
            requests: voucherRequests!,
            inboundTokens: voucherInboundTokens!,
            outboundTokens: voucherOutboundTokens!,
            receiptsRoot: voucherRoot!,
          },
          signature: voucherSignature!,
        },
      }),
    },
    ...(voucherMs !== undefined && { voucherMs }),
    ...(sinceMs !== undefined && { sinceMs }),
  };
}
