/** Finds and reads a role's configuration on this machine. @module */
import { LloomError } from "@lloom/core/errors";
import { join, resolve } from "node:path";
import { reasonOf } from "../denied.ts";
import type { CommonConfig, RoleName } from "./common_settings.ts";
import { resolveConfig, type ResolvedConfig } from "./resolve_config.ts";
import type { RoleSettings } from "./role_settings.ts";

/** A configuration with hundreds of models fits; a larger file is some other file. */
const MAX_CONFIG_BYTES = 1 << 20;

/** Variables of our own that hold secrets. */
const SECRETS = ["LLOOM_PRIVATE_KEY", "LLOOM_SMTP_PASSWORD", "LLOOM_GATEWAY_KEYS"];

/** A configuration of this machine, and where it was found. */
export interface LoadedConfig<T> extends ResolvedConfig<T> {
  /** The file that was read; absent where there is none. */
  readonly path?: string;
}

/**
 * Reads flags, `LLOOM_*` variables and the configuration file: `--config`, else `LLOOM_CONFIG_FILE`,
 * else `config.toml` in the data directory if there is one.
 * Secrets are taken out of the environment, so that nothing started later inherits them.
 * @param flags as commander gives them; besides the settings' own, `config` and `debug` count
 * @throws {LloomError} `config_invalid`
 */
export function loadConfig<T extends CommonConfig>(
  settings: RoleSettings<T>,
  flags: Readonly<Record<string, unknown>>,
): LoadedConfig<T> {
  const env = readEnvironment();
  const standard = defaultDataDir(settings.role, env);
  const named = text(flags["config"]) ?? text(env["LLOOM_CONFIG_FILE"]);
  const dataDir = text(flags["dataDir"]) ?? text(env["LLOOM_DATA_DIR"]) ?? standard;
  const path = named ?? (dataDir === undefined ? undefined : join(dataDir, "config.toml"));
  const content = path === undefined ? undefined : readConfigFile(path, named !== undefined);
  const resolved = resolveConfig(settings, {
    ...(path !== undefined && content !== undefined && { file: { path, text: content } }),
    env,
    flags: flags["debug"] === true ? { logLevel: "debug", ...flags } : flags,
  });
  const chosen = resolved.config.storage.dataDir || standard;
  if (chosen === undefined) {
    throw new LloomError(
      "config_invalid",
      "read config: storage.data_dir must be given where there is no home directory",
    );
  }
  const config = { ...resolved.config, storage: { dataDir: resolve(chosen) } };
  return {
    config,
    warnings: resolved.warnings,
    ...(path !== undefined && content !== undefined && { path }),
  };
}

/** Where a role keeps its data unless told otherwise; undefined without a home directory. */
export function defaultDataDir(
  role: RoleName,
  env: Readonly<Record<string, string>>,
): string | undefined {
  const home = text(env["HOME"]) ?? text(env["USERPROFILE"]);
  return home === undefined ? undefined : join(home, ".lloom", role);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Under `--ignore-env` this is what the manifest allows and nothing else. */
function readEnvironment(): Readonly<Record<string, string>> {
  try {
    const env = Deno.env.toObject();
    for (const name of SECRETS) if (env[name] !== undefined) Deno.env.delete(name);
    return env;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new LloomError(
      "config_invalid",
      "read environment: not permitted; run with --allow-env=LLOOM_*,HOME,USERPROFILE --ignore-env",
      { cause: error },
    );
  }
}

function readConfigFile(path: string, mustExist: boolean): string | undefined {
  try {
    const { size } = Deno.statSync(path);
    if (size > MAX_CONFIG_BYTES) {
      throw new LloomError("config_invalid", `read config ${path}: larger than 1 MiB`);
    }
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof LloomError) throw error;
    if (error instanceof Deno.errors.NotFound) {
      if (!mustExist) return undefined;
      throw new LloomError("config_invalid", `read config ${path}: no such file`);
    }
    throw new LloomError("config_invalid", `read config ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
