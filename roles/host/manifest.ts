/**
 * Permission manifests: the exact Deno flags a role runs with, in `roles/<role>/permissions.json`.
 * Whatever a manifest does not list is denied, without asking.
 * @module
 */

/** One role's manifest. */
export interface PermissionManifest {
  /** Deno's flags, with placeholders: `{code}`, `{data}`, `{config}`, `{env}`. */
  readonly flags: readonly string[];
  /** What the role's own command line is always given. */
  readonly arguments: readonly string[];
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
 * Reads a manifest.
 * @throws {TypeError} if it is not one, or would let the program ask for more at run time
 */
export function parseManifest(text: string): PermissionManifest {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== "object" || parsed === null) {
    throw new TypeError("read manifest: no object");
  }
  const { flags, arguments: rest } = parsed as Record<string, unknown>;
  if (!isTexts(flags) || !isTexts(rest)) throw new TypeError("read manifest: no lists of texts");
  if (!flags.includes("--no-prompt")) throw new TypeError("read manifest: --no-prompt is missing");
  if (flags.some((flag) => /^(?:-A|--allow-all)\b/.test(flag))) {
    throw new TypeError("read manifest: allows everything");
  }
  return { flags, arguments: rest };
}

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

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/**
 * The command of a role's task in deno.json: from the checkout, with the data directory in `$HOME`.
 * @param extra further arguments of the role, such as `--demo`
 */
export function taskCommand(
  role: string,
  manifest: PermissionManifest,
  env: readonly string[],
  extra: readonly string[] = [],
): string {
  const data = [`$HOME/.lloom/${role}`];
  const flags = manifestFlags(manifest, { code: ["."], data, config: [], env });
  // Quoted, because the task shell would take `LLOOM_*` for file names.
  const quoted = flags.map((flag) => (/[*$]/.test(flag) ? `"${flag}"` : flag));
  return ["deno run", ...quoted, `roles/${role}/main.ts`, ...manifest.arguments, ...extra].join(
    " ",
  );
}
