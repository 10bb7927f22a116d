/**
 * Checks that everything the packages export is documented: `deno task lint:docs`.
 * @module
 */
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);

/** Types of npm packages that ours are made with; to `deno doc` they look like hidden ones of ours. */
const FOREIGN_TYPES = ["Command", "CommandUnknownOpts", "Hex"];

interface Manifest {
  readonly workspace?: readonly string[];
  readonly exports: string | Readonly<Record<string, string>>;
}

function readManifest(folder: URL): Manifest {
  return JSON.parse(Deno.readTextFileSync(new URL("deno.json", folder)));
}

/** The modules that users of a package can import. */
function entryPoints(folder: URL): readonly string[] {
  const { exports } = readManifest(folder);
  return (typeof exports === "string" ? [exports] : Object.values(exports))
    .filter((path) => path.endsWith(".ts"))
    .map((path) => fileURLToPath(new URL(path, folder)));
}

if (import.meta.main) {
  const folders = (readManifest(ROOT).workspace ?? []).map((path) => new URL(`${path}/`, ROOT));
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...[ROOT, ...folders].flatMap(entryPoints)],
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  const text = new TextDecoder().decode(stderr);
  const found = [...text.matchAll(/^error\[.*\]: (.*)\n +--> (.*)$/gm)];
  const offences = found.filter(([, message = ""]) =>
    !FOREIGN_TYPES.some((type) => message.endsWith(`references private type '${type}'`))
  );
  for (const [, message, place] of offences) console.error(`${place}: ${message}`);
  // A failure that names no offence is one of the command itself.
  if (code !== 0 && found.length === 0) console.error(text);
  Deno.exit(offences.length > 0 || (code !== 0 && found.length === 0) ? 1 : 0);
}
