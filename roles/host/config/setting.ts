/**
 * The building blocks of a settings table. One table per role says for every key its type, default,
 * allowed range, environment variable, flag and purpose; parsing, checking, `--help` and the manual
 * are all derived from it.
 * @module
 */
import type { Address } from "@lloom/core/bytes";
import { isPeerName } from "@lloom/core/identity";

/** One value: how it is read, checked, and described. */
export interface Setting<T> {
  /** Tells it from tables. */
  readonly kind: "setting";
  /** What is allowed, to follow "must be": `an integer from 1 to 65535`. */
  readonly allowed: string;
  /** The value if nothing is given. */
  readonly fallback: T;
  /** How the manual shows the default, where the value itself does not tell. */
  readonly fallbackText: string | undefined;
  /** Whether it must be given. */
  readonly required: boolean;
  /** The value from TOML; undefined if it is not allowed. */
  readonly parse: (raw: unknown) => T | undefined;
  /** The text of a variable or a flag as TOML would give it. */
  readonly fromText: (text: string) => unknown;
  /** What it is for: sentences, the first for `--help`. */
  readonly doc: string;
  /** The variable that sets it, beside the file. */
  readonly env: string | undefined;
  /** As commander takes it: `--log-level <level>`. */
  readonly flag: string | undefined;
  /** The subcommand that alone takes the flag; absent: all commands do. */
  readonly command: string | undefined;
  /** Another key that is read as this one. */
  readonly alias: string | undefined;
  /** Why the value may not stand in a configuration file. */
  readonly notInFile: string | undefined;
}

/** A TOML table with known keys. */
export interface Group<T> {
  /** Tells it from other nodes. */
  readonly kind: "group";
  /** What it is for. */
  readonly doc: string;
  /** Its keys. */
  readonly table: Table<T>;
}

/** A TOML array of tables, `[[name]]`. */
export interface Groups<T> {
  /** Tells it from other nodes. */
  readonly kind: "groups";
  /** What they are for. */
  readonly doc: string;
  /** The keys of each. */
  readonly table: Table<T>;
  /** The most entries allowed. */
  readonly max: number;
}

/** A TOML table whose keys are names that the user chooses. */
export interface NamedGroups<T> {
  /** Tells it from other nodes. */
  readonly kind: "named";
  /** What they are for. */
  readonly doc: string;
  /** The keys of each. */
  readonly table: Table<T>;
  /** The most entries allowed. */
  readonly max: number;
}

/** What may describe a field of type `T`. */
export type Node<T> =
  | Setting<T>
  | ([T] extends [readonly (infer E)[]] ? Groups<E> : Group<T>)
  | ([T] extends [ReadonlyMap<string, infer E>] ? NamedGroups<E> : never);

/** Describes every field of a configuration; the TOML key is the field's name in snake_case. */
export type Table<T> = { readonly [K in keyof T]-?: Node<T[K]> };

/** A node whose type of value does not matter. */
export type AnyNode = Setting<unknown> | Group<unknown> | Groups<unknown> | NamedGroups<unknown>;

/** What can be said about a setting besides its type. */
export interface SettingOptions {
  /** As in {@linkcode Setting}. */
  readonly env?: string;
  /** As in {@linkcode Setting}. */
  readonly flag?: string;
  /** As in {@linkcode Setting}. */
  readonly command?: string;
  /** As in {@linkcode Setting}. */
  readonly alias?: string;
  /** As in {@linkcode Setting}. */
  readonly required?: boolean;
  /** As in {@linkcode Setting}. */
  readonly notInFile?: string;
  /** As in {@linkcode Setting}. */
  readonly fallbackText?: string;
}

/** How one type of value is read. */
export interface ValueType<T> {
  /** As in {@linkcode Setting}. */
  readonly allowed: string;
  /** As in {@linkcode Setting}. */
  readonly parse: (raw: unknown) => T | undefined;
  /** As in {@linkcode Setting}. */
  readonly fromText: (text: string) => unknown;
}

/** A setting of a type, with its default. */
export function setting<T, F extends T | undefined>(
  type: ValueType<T>,
  fallback: F,
  doc: string,
  options: SettingOptions = {},
): Setting<T | F> {
  return {
    kind: "setting",
    allowed: type.allowed,
    parse: type.parse,
    fromText: type.fromText,
    fallback,
    fallbackText: options.fallbackText,
    required: options.required ?? false,
    doc,
    env: options.env,
    flag: options.flag,
    command: options.command,
    alias: options.alias,
    notInFile: options.notInFile,
  };
}

/** A setting that has no default and must be given. */
export function required<T>(
  type: ValueType<T>,
  doc: string,
  options: SettingOptions = {},
): Setting<T> {
  // `fallback` is never used for a required setting: a missing one is an error before that.
  return setting(type, undefined, doc, { ...options, required: true }) as Setting<T>;
}

/** Text that is not empty. @param max the most characters */
export function text(max = 4096, what = "text"): ValueType<string> {
  return {
    allowed: `${what} of 1 to ${max} characters`,
    parse: (raw) =>
      (typeof raw === "string" && raw.length > 0 && raw.length <= max) ? raw : undefined,
    fromText: (value) => value,
  };
}

/** Text of a form. @param allowed what the form is, in words */
export function pattern(form: RegExp, allowed: string): ValueType<string> {
  return {
    allowed,
    parse: (raw) => (typeof raw === "string" && form.test(raw) ? raw : undefined),
    fromText: (value) => value,
  };
}

/** An Ethereum address, of whatever case, as lower-case text. */
export function address(): ValueType<Address> {
  return {
    allowed: "0x and 40 hexadecimal digits",
    parse: (raw) =>
      typeof raw === "string" && /^0x[0-9a-fA-F]{40}$/.test(raw)
        ? raw.toLowerCase() as Address
        : undefined,
    fromText: (value) => value,
  };
}

/** How an executor is named: its PeerId, or its address, whose checksum must be right if it has one. */
export function executorName(): ValueType<string> {
  return {
    allowed: "a PeerId, or an address without a mistyped letter",
    parse: (raw) => typeof raw === "string" && isPeerName(raw) ? raw : undefined,
    fromText: (value) => value,
  };
}

/** A whole number in a range, both ends included. */
export function integer(min: number, max: number, unit = ""): ValueType<number> {
  return {
    allowed: `an integer from ${min} to ${max}${unit && ` ${unit}`}`,
    parse: (raw) =>
      typeof raw === "number" && Number.isInteger(raw) && raw >= min && raw <= max
        ? raw
        : undefined,
    fromText: (value) => (/^-?\d{1,16}$/.test(value) ? Number(value) : value),
  };
}

/** A number in a range, both ends included. */
export function number(min: number, max: number): ValueType<number> {
  return {
    allowed: `a number from ${min} to ${max}`,
    parse: (raw) => typeof raw === "number" && raw >= min && raw <= max ? raw : undefined,
    fromText: (value) => (/^-?\d{1,16}(\.\d{1,16})?$/.test(value) ? Number(value) : value),
  };
}

/** `true` or `false`; in variables also `1`, `0`, `yes`, `no`. */
export function flag(): ValueType<boolean> {
  const words: Readonly<Record<string, boolean>> = {
    true: true,
    "1": true,
    yes: true,
    false: false,
    "0": false,
    no: false,
  };
  return {
    allowed: "true or false",
    parse: (raw) => (typeof raw === "boolean" ? raw : undefined),
    fromText: (value) => words[value.toLowerCase()] ?? value,
  };
}

/** One of some words. @param synonyms other spellings, each with the word it stands for */
export function oneOf<T extends string>(
  words: readonly T[],
  synonyms: Readonly<Record<string, T>> = {},
): ValueType<T> {
  return {
    allowed: `one of ${words.join(", ")}`,
    parse: (raw) =>
      words.find((word) => word === raw) ??
        (typeof raw === "string" && Object.hasOwn(synonyms, raw) ? synonyms[raw] : undefined),
    fromText: (value) => value,
  };
}

/** A list; a single value stands for a list of one, and in variables commas separate. */
export function list<T>(item: ValueType<T>, max: number): ValueType<readonly T[]> {
  return {
    allowed: `at most ${max} entries, each ${item.allowed}`,
    parse: (raw) => {
      const entries: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
      const parsed = entries.map(item.parse).filter((entry) => entry !== undefined);
      return parsed.length === entries.length && parsed.length <= max ? parsed : undefined;
    },
    fromText: (value) =>
      value.split(",").map((part) => part.trim()).filter((part) => part !== "").map(item.fromText),
  };
}

/** A table from names that the user chooses to text. */
export function textMap(max: number): ValueType<Readonly<Record<string, string>>> {
  return {
    allowed: `a table of at most ${max} names, each with a text`,
    parse: (raw) => {
      if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return undefined;
      const entries = Object.entries(raw);
      const fits = entries.length <= max &&
        entries.every(([name, value]) => name !== "" && typeof value === "string" && value !== "");
      return fits ? Object.fromEntries(entries) as Record<string, string> : undefined;
    },
    fromText: (value) => value,
  };
}

/** Base units per 1,000,000 tokens: channel amounts are 96-bit, so a larger price could never be paid. */
export function price(): ValueType<bigint> {
  const limit = 1n << 96n;
  const inRange = (value: bigint) => (value >= 0n && value < limit ? value : undefined);
  return {
    allowed: "a non-negative integer below 2^96, or its decimal digits as text",
    parse: (raw) => {
      if (typeof raw === "bigint") return inRange(raw);
      if (typeof raw === "number") {
        return Number.isSafeInteger(raw) ? inRange(BigInt(raw)) : undefined;
      }
      return typeof raw === "string" && /^\d{1,30}$/.test(raw) ? inRange(BigInt(raw)) : undefined;
    },
    fromText: (value) => value,
  };
}

/** `/ip4/203.0.113.7/tcp/9000/p2p/16Uiu2…` and the like. Its parts are parsed where it is dialled. */
export function multiaddr(): ValueType<string> {
  const form = /^\/(?:ip4|ip6|dns|dns4|dns6|dnsaddr)\/[^/\s,]+(?:\/[A-Za-z0-9._%:-]+)*$/;
  return {
    allowed: "a multiaddr such as /ip4/203.0.113.7/tcp/9000",
    parse: (raw) => {
      if (typeof raw !== "string" || raw.length > 512 || !form.test(raw)) return undefined;
      const port = /\/tcp\/([^/]*)/.exec(raw)?.[1];
      return port === undefined || (/^\d{1,5}$/.test(port) && Number(port) <= 65_535)
        ? raw
        : undefined;
    },
    fromText: (value) => value,
  };
}

/** Where a node may listen: a multiaddr, or `/p2p-circuit` for whatever address a relay gives it. */
export function listenAddress(): ValueType<string> {
  const plain = multiaddr();
  return {
    ...plain,
    allowed: `${plain.allowed}, or /p2p-circuit`,
    parse: (raw) => raw === "/p2p-circuit" ? raw : plain.parse(raw),
  };
}

/** An http or https URL without user name or password, which logs would show. */
export function httpUrl(): ValueType<string> {
  return {
    allowed: "an http:// or https:// URL without user name and password",
    parse: (raw) => {
      if (typeof raw !== "string" || raw.length > 2048 || !URL.canParse(raw)) return undefined;
      const url = new URL(raw);
      const plain = url.username === "" && url.password === "";
      return plain && (url.protocol === "http:" || url.protocol === "https:") ? raw : undefined;
    },
    fromText: (value) => value,
  };
}

/** `listenAddresses` as `listen_addresses`. */
export function keyOf(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
