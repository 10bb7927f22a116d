/** Results in columns, for people. @module */
import type { Hash } from "@lloom/core/bytes";
import { print, printable } from "./terminal.ts";

/** Prints columns as wide as their widest cell; `none` where there is no row. A cell may be a stranger's text: what would steer a terminal is not shown. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  if (rows.length === 0) return print("none\n");
  const all = [head, ...rows.map((row) => row.map(clean))];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  for (const row of all) {
    print(`${row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd()}\n`);
  }
}

/** Prints names and values, one pair a line; a pair without a value is left out. */
export function printPairs(pairs: readonly (readonly [string, string | undefined])[]): void {
  const given = pairs.flatMap(([name, value]) => value === undefined ? [] : [[name, value]]);
  const width = Math.max(...given.map(([name]) => name!.length));
  for (const [name, value] of given) print(`${name!.padEnd(width)}  ${clean(value!)}\n`);
}

/** The beginning of an id that people are shown: enough to tell a person's channels apart. */
export function shortId(id: Hash): string {
  return id.slice(0, SHORT_ID);
}

const SHORT_ID = 12;

/** A time to the second, as people and programs read it; of seconds or milliseconds since 1970. */
export function isoTime(time: { readonly s: number } | { readonly ms: number }): string {
  const iso = new Date("s" in time ? time.s * 1000 : time.ms).toISOString();
  return iso.replace(/\.\d{3}Z$/, "Z");
}

function clean(cell: string): string {
  return printable(cell).replace(/\s/gu, " ");
}
