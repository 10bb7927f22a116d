/** The settings in words: for `--help`, and for docs/configuration.md. @module */
import type { CommonConfig } from "./common_settings.ts";
import { type Fields, singleSettings } from "./resolve_config.ts";
import type { RoleSettings } from "./role_settings.ts";
import { keyOf, type Setting } from "./setting.ts";

/** The note on environment variables at the end of `--help`. */
export function environmentNotes<T extends CommonConfig>(settings: RoleSettings<T>): string {
  const rows: (readonly [string, string])[] = [["LLOOM_CONFIG_FILE", "configuration file"]];
  for (const [key, node] of singleSettings(settings.table as Fields)) {
    if (node.env !== undefined) rows.push([node.env, key]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, key]) => `  ${name.padEnd(width)}  ${key}`);
  return `\nEnvironment, each with the setting it gives:\n${lines.join("\n")}`;
}

/** One role's chapter of the manual, in Markdown. */
export function configurationManual<T extends CommonConfig>(settings: RoleSettings<T>): string {
  const title = settings.role[0]!.toUpperCase() + settings.role.slice(1);
  return [`## ${title}`, "", ...sections(settings.table as Fields, "")].join("\n");
}

function* sections(fields: Fields, path: string): Generator<string> {
  for (const [field, node] of Object.entries(fields)) {
    if (node.kind === "setting") continue;
    const key = path + keyOf(field);
    const heading = node.kind === "groups"
      ? `[[${key}]]`
      : node.kind === "named"
      ? `[${key}."<name>"]`
      : `[${key}]`;
    yield* [`### \`${heading}\``, "", node.doc, ""];
    const table = node.table as Fields;
    const settings = Object.entries(table).filter((entry): entry is [string, Setting<unknown>] =>
      entry[1].kind === "setting"
    );
    if (settings.length > 0) {
      yield* ["| Key | Allowed | Default | Elsewhere | |", "| - | - | - | - | - |"];
      for (const [name, setting] of settings) yield row(keyOf(name), setting);
      yield "";
    }
    yield* sections(table, `${key}.`);
  }
}

function row(key: string, node: Setting<unknown>): string {
  const command = node.command === undefined ? "" : `${node.command} `;
  const elsewhere = [node.env, node.flag && `${command}${node.flag}`]
    .filter((name) => name !== undefined);
  const notes = [
    node.doc,
    node.alias && `Also read as \`${node.alias}\`.`,
    node.notInFile && "Not allowed in a file.",
  ];
  const cells = [
    `\`${key}\``,
    node.allowed,
    defaultOf(node),
    elsewhere.map((name) => `\`${name}\``).join(", "),
    notes.filter((note) => note !== undefined).join(" "),
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** What a setting is if nothing is given, in Markdown; `none` if it is absent then. */
export function defaultOf(node: Setting<unknown>): string {
  if (node.required) return "required";
  if (node.fallbackText !== undefined) return node.fallbackText;
  const { fallback } = node;
  if (fallback === undefined) return "none";
  if (Array.isArray(fallback) && fallback.length === 0) return "none";
  return `\`${String(fallback)}\``;
}
