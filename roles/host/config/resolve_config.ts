/**
 * Turns a configuration file, environment variables and flags into one checked configuration.
 * Flags win over variables, variables over the file, the file over defaults.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import { parse } from "smol-toml";
import type { CommonConfig } from "./common_settings.ts";
import { nearest } from "./nearest.ts";
import type { RoleSettings } from "./role_settings.ts";
import { type AnyNode, keyOf, type Setting } from "./setting.ts";

/** Where settings come from. */
export interface ConfigSources {
  /** The configuration file, if there is one. */
  readonly file?: { readonly path: string; readonly text: string };
  /** Environment variables; those that do not begin with `LLOOM_` are left alone. */
  readonly env: Readonly<Record<string, string>>;
  /** Flags as commander gives them: by name in camelCase, with lists as arrays. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** A configuration, and what the user should be told about it. */
export interface ResolvedConfig<T> {
  /** The values, each checked. */
  readonly config: T;
  /** One line each: unknown variables, settings that are unwise. */
  readonly warnings: readonly string[];
}

/** Variables that say where the configuration is, or that the command line reads: no settings. */
export const OTHER_VARIABLES: readonly string[] = ["LLOOM_CONFIG_FILE"];

/** A settings table whose values' types do not matter. */
export type Fields = Readonly<Record<string, AnyNode>>;
type Values = Readonly<Record<string, unknown>>;

/**
 * Checks all sources against a role's settings.
 * @throws {LloomError} `config_invalid`, naming the file, variable or flag, the key, and what is
 * allowed there. It never quotes a value, which may be a secret.
 */
export function resolveConfig<T extends CommonConfig>(
  settings: RoleSettings<T>,
  sources: ConfigSources,
): ResolvedConfig<T> {
  const warnings: string[] = [];
  const where = sources.file === undefined ? "read config" : `read config ${sources.file.path}`;
  const root = settings.table as Fields;
  const document = sources.file === undefined ? {} : parseToml(sources.file.text, where);
  const reader = new Reader(where, sources);
  const resolved = reader.group(root, document, "") as unknown as T;
  const config = settings.complete?.(resolved) ?? resolved;
  settings.check(
    config,
    (key, problem) => {
      throw new LloomError("config_invalid", `${where}: ${key} ${problem}`);
    },
    (key, problem) => warnings.push(`${where}: ${key}: ${problem}`),
  );
  warnings.push(...unknownVariables(root, sources.env));
  return { config, warnings };
}

/** The name under which commander reports a flag: `--log-level <level>` as `logLevel`. */
export function flagName(flag: string): string {
  const long = /--([a-z0-9-]+)/.exec(flag)?.[1] ?? "";
  return long.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Every setting outside lists, with its key path; only these have variables and flags. */
export function* singleSettings(
  fields: Fields,
  path = "",
): Generator<readonly [key: string, setting: Setting<unknown>]> {
  for (const [field, node] of Object.entries(fields)) {
    const key = path + keyOf(field);
    if (node.kind === "setting") yield [key, node];
    else if (node.kind === "group") yield* singleSettings(node.table as Fields, `${key}.`);
  }
}

function parseToml(text: string, where: string): Values {
  try {
    // Prices exceed 2^53, so integers must not be rounded on the way in.
    return parse(text, { integersAsBigInt: "asNeeded" });
  } catch (error) {
    // smol-toml quotes the offending lines, which may hold a secret: say only where it is.
    const { line, column } = error as { line?: number; column?: number };
    const at = line === undefined ? "" : ` at line ${line}, column ${column}`;
    throw new LloomError("config_invalid", `${where}: not valid TOML${at}`);
  }
}

class Reader {
  readonly #where: string;
  readonly #sources: ConfigSources;

  constructor(where: string, sources: ConfigSources) {
    this.#where = where;
    this.#sources = sources;
  }

  /** @param path dotted, with a final dot, or empty at the top */
  group(fields: Fields, raw: unknown, path: string): Values {
    const values = this.#table(raw, path);
    this.#refuseUnknown(fields, values, path);
    const out: Record<string, unknown> = {};
    for (const [field, node] of Object.entries(fields)) {
      const key = keyOf(field);
      out[field] = node.kind === "setting"
        ? this.#setting(node, key, values, path)
        : this.#nested(node, values[key], path + key);
    }
    return out;
  }

  #nested(node: Exclude<AnyNode, Setting<unknown>>, raw: unknown, key: string): unknown {
    const fields = node.table as Fields;
    if (node.kind === "group") return this.group(fields, raw, `${key}.`);
    if (node.kind === "groups") {
      const entries = raw ?? [];
      if (!Array.isArray(entries) || entries.length > node.max) {
        this.#refuse(this.#where, key, `must be at most ${node.max} sections [[${key}]]`);
      }
      return entries.map((entry: unknown, i) => this.group(fields, entry, `${key}[${i}].`));
    }
    const named = Object.entries(this.#table(raw, `${key}.`));
    if (named.length > node.max) {
      this.#refuse(this.#where, key, `must have at most ${node.max} entries`);
    }
    return new Map(
      named.map(([name, entry]) => [name, this.group(fields, entry, `${key}.${quote(name)}.`)]),
    );
  }

  #setting(node: Setting<unknown>, key: string, values: Values, path: string): unknown {
    const { flags, env } = this.#sources;
    const flag = node.flag === undefined ? undefined : flags[flagName(node.flag)];
    if (node.flag !== undefined && flag !== undefined) {
      const raw = Array.isArray(flag)
        ? flag.flatMap((item) => node.fromText(String(item)))
        : typeof flag === "string"
        ? node.fromText(flag)
        : flag;
      return this.#parse(node, raw, `read flag ${node.flag.split(" ")[0]}`, path + key);
    }
    // An empty variable counts as absent: `LLOOM_PORT= command` is how shells unset one.
    const variable = node.env === undefined ? undefined : env[node.env];
    if (variable !== undefined && variable !== "") {
      return this.#parse(node, node.fromText(variable), `read variable ${node.env}`, path + key);
    }
    const used = [key, node.alias].filter((name) => name !== undefined && name in values);
    if (used.length > 1) {
      this.#refuse(this.#where, path + key, `must not stand beside ${node.alias}, its other name`);
    }
    if (used[0] === undefined) {
      if (node.required) {
        this.#refuse(this.#where, path + key, `must be given: ${node.allowed}`);
      }
      return node.fallback;
    }
    if (node.notInFile !== undefined) this.#refuse(this.#where, path + key, node.notInFile);
    return this.#parse(node, values[used[0]], this.#where, path + used[0]);
  }

  #parse(node: Setting<unknown>, raw: unknown, where: string, key: string): unknown {
    const value = node.parse(raw);
    if (value === undefined) this.#refuse(where, key, `must be ${node.allowed}`);
    return value;
  }

  #table(raw: unknown, path: string): Values {
    if (raw === undefined) return {};
    if (typeof raw !== "object" || raw === null || Array.isArray(raw) || raw instanceof Date) {
      this.#refuse(this.#where, path.slice(0, -1), "must be a section");
    }
    return raw as Values;
  }

  #refuseUnknown(fields: Fields, values: Values, path: string): void {
    const known = new Set(Object.keys(fields).map(keyOf));
    const aliases = Object.values(fields).map((node) => node.kind === "setting" && node.alias);
    for (const key of Object.keys(values)) {
      if (known.has(key) || aliases.includes(key)) continue;
      const near = nearest(key, known);
      const help = near === undefined
        ? `known here: ${[...known].join(", ")}`
        : `did you mean ${path}${near}?`;
      throw new LloomError(
        "config_invalid",
        `${this.#where}: unknown key ${path}${quote(key)}; ${help}`,
      );
    }
  }

  #refuse(where: string, key: string, problem: string): never {
    throw new LloomError("config_invalid", `${where}: ${key} ${problem}`);
  }
}

/** A key as TOML writes it, bounded. */
function quote(key: string): string {
  const short = key.length > 64 ? `${key.slice(0, 64)}…` : key;
  return /^[A-Za-z0-9_-]+$/.test(short) ? short : JSON.stringify(short);
}

/** A misspelt variable would be ignored in silence: worth a line, but no reason not to start. */
function unknownVariables(root: Fields, env: Readonly<Record<string, string>>): string[] {
  const known = new Set(OTHER_VARIABLES);
  for (const [, node] of singleSettings(root)) if (node.env !== undefined) known.add(node.env);
  return Object.keys(env)
    .filter((name) => name.startsWith("LLOOM_") && !known.has(name))
    .sort()
    .map((name) => {
      const near = nearest(name, known);
      const help = near === undefined ? "" : `; did you mean ${near}?`;
      return `read environment: ${quote(name)} is not a setting of this role${help}`;
    });
}
