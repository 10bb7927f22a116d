/** A client's tables in SQLite. @module */
import { type Address, fromHex, type Hash, ZERO_HASH } from "@lloom/core/bytes";
import type {
  AcknowledgedReceipt,
  buyer,
  BuyerTables,
  Cost,
  KeptContent,
  Page,
  PaidReceipt,
  Purchase,
  PurchaseFilter,
  SentRequest,
} from "@lloom/core/payments";
import type { SignedRequest } from "@lloom/core/ports";
import type { ChannelTerms } from "@lloom/core/signing";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  CHANNEL_COLUMNS,
  CHANNEL_SQL,
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
export const BUYER_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE channel (${CHANNEL_SQL},
    signed TEXT NOT NULL,
    requests INTEGER NOT NULL,
    inbound_tokens TEXT NOT NULL,
    outbound_tokens TEXT NOT NULL,
    root BLOB NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE purchase (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    channel_id BLOB REFERENCES channel (channel_id), -- NULL for a free request
    executor BLOB NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    max_cost TEXT NOT NULL,
    paid TEXT NOT NULL,
    cost TEXT NOT NULL,
    deadline_ms INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    leaf_index INTEGER,
    request BLOB,
    request_hash BLOB,
    salt BLOB,
    response BLOB,
    response_hash BLOB
  ) STRICT;
  CREATE INDEX purchase_hash ON purchase (request_hash);
  CREATE INDEX purchase_open ON purchase (deadline_ms) WHERE state = 'open';
  CREATE UNIQUE INDEX purchase_leaf ON purchase (channel_id, leaf_index)
    WHERE leaf_index IS NOT NULL;
  CREATE TABLE spending (
    asset BLOB NOT NULL,
    minute INTEGER NOT NULL,
    cost TEXT NOT NULL,
    PRIMARY KEY (asset, minute)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE content (
    id TEXT PRIMARY KEY REFERENCES purchase (id),
    body BLOB,
    content BLOB
  ) STRICT`,
  `
  ALTER TABLE channel ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE channel ADD COLUMN retired INTEGER NOT NULL DEFAULT 0`,
];

const CHANNEL = new RowFormat<Omit<buyer.BuyerChannel, "terms"> & ChannelTerms>({
  ...CHANNEL_COLUMNS,
  signed: decimal,
  requests: integer,
  inboundTokens: decimal,
  outboundTokens: decimal,
  root: hex,
  refusals: integer,
  retired: flag,
});

type Free<T extends { readonly channelId: Hash }> =
  & Omit<T, "channelId">
  & Partial<Pick<T, "channelId">>;

const MONEY: Columns<Free<buyer.BuyerRequest>> = {
  id: text(),
  channelId: hex,
  state: text(),
  maxCost: decimal,
  paid: decimal,
  cost: decimal,
  deadlineMs: integer,
  leafIndex: integer,
};
const REQUEST = new RowFormat(MONEY);

/** A purchase whose signed request is divided into columns. */
type PurchaseRow = Free<Omit<Purchase, "request">> & {
  readonly request?: SignedRequest;
  readonly requestHash?: Hash;
  readonly salt?: Uint8Array;
};

const PURCHASE = new RowFormat<PurchaseRow>({
  ...MONEY,
  executor: hex,
  model: text(),
  startedMs: integer,
  endedMs: integer,
  request: signedRequest,
  requestHash: hex,
  salt: bytes,
  response: signedResponse,
  responseHash: hex,
});
const RECEIPT = new RowFormat<AcknowledgedReceipt>({
  requestHash: hex,
  responseHash: hex,
  cost: decimal,
});
const CONTENT = new RowFormat<KeptContent>({ body: bytes, content: bytes });

/** {@linkcode BuyerTables} on a database that has {@linkcode BUYER_MIGRATIONS}. */
export class SqliteBuyerTables implements BuyerTables {
  readonly #channel: StatementSync;
  readonly #channels: StatementSync;
  readonly #putChannel: StatementSync;
  readonly #acknowledged: StatementSync;
  readonly #putAcknowledged: StatementSync;
  readonly #addPurchase: StatementSync;
  readonly #request: StatementSync;
  readonly #putRequest: StatementSync;
  readonly #putSent: StatementSync;
  readonly #putReceipt: StatementSync;
  readonly #overdue: StatementSync;
  readonly #reserved: StatementSync;
  readonly #spendingOf: StatementSync;
  readonly #putSpending: StatementSync;
  readonly #spentFrom: StatementSync;
  readonly #receipts: StatementSync;
  readonly #putContent: StatementSync;
  readonly #content: StatementSync;
  readonly #history: StatementSync;
  readonly #find: StatementSync;

  /** Prepares all statements. */
  constructor(database: DatabaseSync) {
    const prepare = (sql: string) => database.prepare(sql);
    this.#channel = prepare(`SELECT ${CHANNEL.names} FROM channel WHERE channel_id = ?`);
    this.#channels = prepare(`SELECT ${CHANNEL.names} FROM channel ORDER BY n DESC`);
    this.#putChannel = prepare(CHANNEL.upsertInto("channel", "channel_id"));
    this.#acknowledged = prepare("SELECT acknowledged FROM channel WHERE channel_id = ?");
    this.#putAcknowledged = prepare("UPDATE channel SET acknowledged = ? WHERE channel_id = ?");
    this.#addPurchase = prepare(PURCHASE.insertInto("purchase"));
    this.#request = prepare(`SELECT ${REQUEST.names} FROM purchase WHERE id = ?`);
    this.#putRequest = prepare(
      `UPDATE purchase SET state = ?, paid = ?, cost = ?, leaf_index = ?,
        ended_ms = coalesce(?, ended_ms) WHERE id = ?`,
    );
    this.#putSent = prepare(
      "UPDATE purchase SET request = ?, request_hash = ?, salt = ? WHERE id = ?",
    );
    this.#putReceipt = prepare(
      "UPDATE purchase SET response = ?, response_hash = ?, request_hash = ? WHERE id = ?",
    );
    this.#overdue = prepare(
      `SELECT ${REQUEST.names} FROM purchase WHERE state = 'open' AND deadline_ms < ? ORDER BY deadline_ms`,
    );
    this.#reserved = prepare("SELECT reserved FROM channel WHERE asset = ? AND reserved <> '0'");
    this.#spendingOf = prepare("SELECT cost FROM spending WHERE asset = ? AND minute = ?");
    this.#putSpending = prepare(
      "INSERT OR REPLACE INTO spending (asset, minute, cost) VALUES (?, ?, ?)",
    );
    this.#spentFrom = prepare("SELECT cost FROM spending WHERE asset = ? AND minute >= ?");
    this.#receipts = prepare(
      `SELECT ${RECEIPT.names} FROM purchase
        WHERE channel_id = ? AND leaf_index >= ? ORDER BY leaf_index`,
    );
    this.#putContent = prepare(
      "INSERT OR REPLACE INTO content (id, body, content) VALUES (?, ?, ?)",
    );
    this.#content = prepare(`SELECT ${CONTENT.names} FROM content WHERE id = ?`);
    this.#history = prepare(
      `SELECT ${PURCHASE.names} FROM purchase
        WHERE ?1 IS NULL OR n < (SELECT n FROM purchase WHERE id = ?1) ORDER BY n DESC LIMIT ?2`,
    );
    // What begins with a text lies between it and itself with the last of all characters.
    this.#find = prepare(
      `SELECT ${PURCHASE.names} FROM purchase WHERE n IN (
          SELECT n FROM purchase WHERE id BETWEEN ?1 AND ?1 || char(1114111)
          UNION SELECT n FROM purchase WHERE request_hash BETWEEN ?2 AND ?3)
        ORDER BY n DESC LIMIT ?4`,
    );
  }

  channel(channelId: Hash): buyer.BuyerChannel | undefined {
    const row = this.#channel.get(fromHex(channelId));
    return row && unflatten(CHANNEL.read(row));
  }

  channels(): readonly buyer.BuyerChannel[] {
    return this.#channels.all().map((row) => unflatten(CHANNEL.read(row)));
  }

  putChannel(channel: buyer.BuyerChannel): void {
    this.#putChannel.run(...CHANNEL.values(flatten(channel)));
  }

  acknowledged(channelId: Hash): number {
    return Number(this.#acknowledged.get(fromHex(channelId))?.["acknowledged"] ?? 0);
  }

  putAcknowledged(channelId: Hash, count: number): void {
    this.#putAcknowledged.run(count, fromHex(channelId));
  }

  addPurchase({ request, channelId, ...rest }: Purchase): void {
    this.#addPurchase.run(...PURCHASE.values({
      ...rest,
      ...(channelId !== ZERO_HASH && { channelId }),
      ...(request && { request, requestHash: request.requestHash, salt: request.salt }),
    }));
  }

  request(id: string): buyer.BuyerRequest | undefined {
    const row = this.#request.get(id);
    return row && readRequest(row);
  }

  putRequest({ id, state, paid, cost, leafIndex }: buyer.BuyerRequest, endedMs?: number): void {
    const values = [state, String(paid), String(cost), leafIndex ?? null, endedMs ?? null];
    this.#putRequest.run(...values, id);
  }

  putSent(id: string, sent: SentRequest): void {
    this.#putSent.run(signedRequest.write(sent), fromHex(sent.requestHash), sent.salt, id);
  }

  putReceipt(id: string, { response, responseHash }: PaidReceipt): void {
    const { requestHash } = response.commitment;
    const message = signedResponse.write(response);
    this.#putReceipt.run(message, fromHex(responseHash), fromHex(requestHash), id);
  }

  overdue(nowMs: number): readonly buyer.BuyerRequest[] {
    return this.#overdue.all(nowMs).map(readRequest);
  }

  reserved(asset: Address): Cost {
    return sum(this.#reserved.all(fromHex(asset)), "reserved");
  }

  addSpending(asset: Address, minute: number, cost: Cost): void {
    const before = sum(this.#spendingOf.all(fromHex(asset), minute), "cost");
    this.#putSpending.run(fromHex(asset), minute, String(before + cost));
  }

  spentFrom(asset: Address, minute: number): Cost {
    return sum(this.#spentFrom.all(fromHex(asset), minute), "cost");
  }

  receipts(channelId: Hash, first: number): readonly AcknowledgedReceipt[] {
    return this.#receipts.all(fromHex(channelId), first).map((row) => RECEIPT.read(row));
  }

  putContent(id: string, { body, content }: KeptContent): void {
    this.#putContent.run(id, body ?? null, content ?? null);
  }

  content(id: string): KeptContent | undefined {
    const row = this.#content.get(id);
    return row && CONTENT.read(row);
  }

  history({ limit, before }: Page): readonly Purchase[] {
    return this.#history.all(before ?? null, limit).map(readPurchase);
  }

  find({ id, hashes }: PurchaseFilter, limit: number): readonly Purchase[] {
    const from = hashes ? fromHex(hashes.from) : null;
    const to = hashes ? fromHex(hashes.to) : null;
    return this.#find.all(id, from, to, limit).map(readPurchase);
  }
}

function readRequest(row: SqlRow): buyer.BuyerRequest {
  return { channelId: ZERO_HASH, ...REQUEST.read(row) };
}

function readPurchase(row: SqlRow): Purchase {
  const { request, requestHash, salt, ...rest } = PURCHASE.read(row);
  return {
    channelId: ZERO_HASH,
    ...rest,
    ...(request && { request: { ...request, requestHash: requestHash!, salt: salt! } }),
  };
}

function sum(rows: readonly SqlRow[], column: string): Cost {
  return rows.reduce((total, row) => total + decimal.read(row[column]!), 0n);
}
