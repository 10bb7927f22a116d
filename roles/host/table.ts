/** Results in columns, for people. @module */
import { print, printable } from "./terminal.ts";

/** Prints columns as wide as their widest cell. A cell may be a stranger's text: what would steer a terminal is not shown. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
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

function clean(cell: string): string {
  return printable(cell).replace(/\s/gu, " ");
}
