/** What the tables of both sides have in common. @module */
import type { Channel } from "@lloom/core/payments";
import {
  type CborValue,
  encodeCbor,
  Fields,
  readSignedRequest,
  readSignedResponse,
  signedRequestFields,
  signedResponseFields,
} from "@lloom/core/protocol";
import type { SignedRequest, SignedResponse } from "@lloom/core/ports";
import type { ChannelTerms } from "@lloom/core/signing";
import { type Column, type Columns, decimal, hashes, hex, integer, text } from "./columns.ts";

/** A signed message with the longest model name is below 1 KiB. */
const MAX_MESSAGE_BYTES = 4096;

/** A channel with its terms beside its other fields. */
export type FlatChannel = Omit<Channel, "terms"> & ChannelTerms;

/** The columns of {@linkcode FlatChannel}. */
export const CHANNEL_COLUMNS: Columns<FlatChannel> = {
  channelId: hex,
  client: hex,
  executor: hex,
  asset: hex,
  signer: hex,
  closeDelay: integer,
  salt: decimal,
  status: text(),
  deposit: decimal,
  settled: decimal,
  closesAt: integer,
  spent: decimal,
  inFlight: decimal,
  reserved: decimal,
  peaks: hashes,
};

/** The same columns in a table's definition. */
export const CHANNEL_SQL = `
    n INTEGER PRIMARY KEY,
    channel_id BLOB NOT NULL UNIQUE,
    client BLOB NOT NULL,
    executor BLOB NOT NULL,
    asset BLOB NOT NULL,
    signer BLOB NOT NULL,
    close_delay INTEGER NOT NULL,
    salt TEXT NOT NULL,
    status TEXT NOT NULL,
    deposit TEXT NOT NULL,
    settled TEXT NOT NULL,
    closes_at INTEGER NOT NULL,
    spent TEXT NOT NULL,
    in_flight TEXT NOT NULL,
    reserved TEXT NOT NULL,
    peaks BLOB NOT NULL`;

/** A channel's fields side by side. */
export function flatten<T extends Channel>({ terms, ...rest }: T): Omit<T, "terms"> & ChannelTerms {
  return { ...rest, ...terms };
}

/** The reverse of {@linkcode flatten}. */
export function unflatten<T extends ChannelTerms>(
  { client, executor, asset, signer, closeDelay, salt, ...rest }: T,
): Omit<T, keyof ChannelTerms> & { readonly terms: ChannelTerms } {
  return { ...rest, terms: { client, executor, asset, signer, closeDelay, salt } };
}

/** A signed request, as the CBOR that travels. */
export const signedRequest: Column<SignedRequest> = message(signedRequestFields, readSignedRequest);

/** A signed receipt, as the CBOR that travels. */
export const signedResponse: Column<SignedResponse> = message(
  signedResponseFields,
  readSignedResponse,
);

function message<T>(
  fieldsOf: (value: T) => { readonly [key: string]: CborValue },
  read: (fields: Fields) => T,
): Column<T> {
  return {
    write: (value) => encodeCbor(fieldsOf(value)),
    read: (value) => read(Fields.decode(value as Uint8Array, MAX_MESSAGE_BYTES, "stored message")),
  };
}
