/** Records as rows of SQLite, which has no integers beyond 64 bits. @module */
import { concat, fromHex, type Hex, toHex } from "@lloom/core/bytes";
import type { SQLInputValue, SQLOutputValue } from "node:sqlite";

/** A field's form in a row. */
export interface Column<T> {
  write(value: T): SQLInputValue;
  read(value: SQLOutputValue): T;
}

/** The form of each field of a record. One that may be absent is NULL then. */
export type Columns<T> = { readonly [K in keyof T]-?: Column<Exclude<T[K], undefined>> };

/** A row as SQLite gives it. */
export type SqlRow = Record<string, SQLOutputValue>;

/** An integer that JavaScript's numbers hold exactly. */
export const integer: Column<number> = { write: (value) => value, read: (value) => Number(value) };

/** True or false, as 1 or 0. */
export const flag: Column<boolean> = {
  write: (value) => value ? 1 : 0,
  read: (value) => value === 1,
};

/** Any integer, as decimal text. */
export const decimal: Column<bigint> = {
  write: (value) => String(value),
  read: (value) => BigInt(value as string),
};

/** Hex text, as bytes. */
export const hex: Column<Hex> = {
  write: (value) => fromHex(value),
  read: (value) => toHex(value as Uint8Array),
};

/** Hashes, as bytes one after the other. */
export const hashes: Column<readonly Hex[]> = {
  write: (value) => concat(value.map(fromHex)),
  read(value) {
    const bytes = value as Uint8Array;
    const count = bytes.length / 32;
    return Array.from({ length: count }, (_, i) => toHex(bytes.subarray(32 * i, 32 * i + 32)));
  },
};

/** Bytes as they are. */
export const bytes: Column<Uint8Array> = {
  write: (value) => value,
  read: (value) => value as Uint8Array,
};

/** Text as it is. */
export function text<T extends string = string>(): Column<T> {
  return { write: (value) => value, read: (value) => value as T };
}

/** What lies between records of type `T` and rows whose columns are called as its fields, in snake case. */
export class RowFormat<T extends object> {
  /** The columns' names, as after SELECT. */
  readonly names: string;
  readonly #columns: readonly { name: string; field: string; column: Column<unknown> }[];

  /** A format of these fields. */
  constructor(columns: Columns<T>) {
    this.#columns = Object.entries(columns).map(([field, column]) => ({
      name: field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      field,
      column: column as Column<unknown>,
    }));
    // Quoted, because a field may be called as a word of SQL.
    this.names = this.#columns.map(({ name }) => `"${name}"`).join(", ");
  }

  /** A statement that adds a row of {@linkcode RowFormat.values}. */
  insertInto(table: string): string {
    const marks = this.#columns.map(() => "?").join(", ");
    return `INSERT INTO ${table} (${this.names}) VALUES (${marks})`;
  }

  /** The same, but replaces the row of the same key. */
  upsertInto(table: string, key: string): string {
    // Setting the key too would make SQLite look through all rows that refer to it.
    const others = this.#columns.filter(({ name }) => name !== key);
    const set = others.map(({ name }) => `"${name}" = excluded."${name}"`).join(", ");
    return `${this.insertInto(table)} ON CONFLICT (${key}) DO UPDATE SET ${set}`;
  }

  /** A record's values in the order of {@linkcode RowFormat.names}. */
  values(record: T): SQLInputValue[] {
    const fields = record as { readonly [field: string]: unknown };
    return this.#columns.map(({ field, column }) =>
      fields[field] === undefined ? null : column.write(fields[field])
    );
  }

  /** The record of a row that has at least these columns. */
  read(row: SqlRow): T {
    const record: Record<string, unknown> = {};
    for (const { name, field, column } of this.#columns) {
      const value = row[name]!;
      if (value !== null) record[field] = column.read(value);
    }
    return record as T;
  }
}
