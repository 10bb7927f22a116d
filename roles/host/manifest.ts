/**
 * Permission manifests: the exact Deno flags a role runs with, in `manifests/<role>.json`.
 * Whatever a manifest does not list is denied, without asking.
 * @module
 */

import type { RoleName } from "./config/common_settings.ts";
import client from "./manifests/client.json" with { type: "json" };
import executor from "./manifests/executor.json" with { type: "json" };
import faucet from "./manifests/faucet.json" with { type: "json" };
import validator from "./manifests/validator.json" with { type: "json" };

const MANIFESTS: Readonly<Record<RoleName, PermissionManifest>> = {
  client,
  executor,
  validator,
  faucet,
};

/** One role's manifest. */
export interface PermissionManifest {
  /** Deno's flags, with placeholders: `{code}`, `{data}`, `{config}`, `{env}`. */
  readonly flags: readonly string[];
  /** What the role's own command line is always given. */
  readonly arguments: readonly string[];
}

/** The manifest of a role. */
export function manifestOf(role: RoleName): PermissionManifest {
  return MANIFESTS[role];
}

/** What the placeholders stand for. Each is a list, and may be empty. */
export interface ManifestValues {
  /** Directories of the program: worker entry files are read when they start. */
  readonly code: readonly string[];
  /** The data directory. */
  readonly data: readonly string[];
  /** Configuration files outside the data directory. */
  readonly config: readonly string[];
  /** Environment variables that hold API keys. */
  readonly env: readonly string[];
}

const PLACEHOLDER = /^\{(code|data|config|env)\}$/;

/**
 * The flags of a manifest with its placeholders filled in. A placeholder without values leaves the
 * list; a flag whose list is left empty is dropped, because without a list it would allow all.
 * @throws {TypeError} on an empty value
 */
export function manifestFlags(
  manifest: PermissionManifest,
  values: ManifestValues,
): readonly string[] {
  return manifest.flags.flatMap((flag) => {
    const [name = "", list] = flag.split("=", 2);
    if (list === undefined) return [flag];
    const items = list.split(",").flatMap((item) => {
      const placeholder = PLACEHOLDER.exec(item)?.[1] as keyof ManifestValues | undefined;
      return placeholder === undefined ? [item] : values[placeholder].map(escapeItem);
    });
    return items.length === 0 ? [] : [`${name}=${items.join(",")}`];
  });
}

/** Deno separates by commas, and reads two as one that belongs to the item. */
function escapeItem(item: string): string {
  if (item === "") throw new TypeError("fill manifest: an empty value would allow everything");
  return item.replaceAll(",", ",,");
}

/**
 * The command of a role's task in deno.json: from the checkout, with the data directory in `$HOME`.
 */
export function taskCommand(role: RoleName, env: readonly string[]): string {
  const manifest = manifestOf(role);
  const data = [`$HOME/.lloom/${role}`];
  const flags = manifestFlags(manifest, { code: ["."], data, config: [], env });
  // Quoted, because the task shell would take `LLOOM_*` for file names.
  const quoted = flags.map((flag) => (/[*$]/.test(flag) ? `"${flag}"` : flag));
  return ["deno run", ...quoted, `roles/${role}/main.ts`, ...manifest.arguments].join(" ");
}
