/** The files of the checkout, for the architecture tests. @module */

/** The root of the checkout, with a final slash. */
export const ROOT: URL = new URL("../../", import.meta.url);

const SKIPPED = new Set([".git", ".cache", "coverage", "dist", "node_modules"]);

/** Paths of all files below a folder, relative to the root, with forward slashes. */
export function* files(folder = ""): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder === "" ? "./" : folder, ROOT))) {
    if (SKIPPED.has(entry.name)) continue;
    const path = folder + entry.name;
    if (entry.isDirectory) yield* files(`${path}/`);
    else if (entry.isFile) yield path;
  }
}

/** Text of a file. @param path relative to the root */
export function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Whether a path is there. @param path relative to the root */
export function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(path, ROOT));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

/** All TypeScript files. */
export const SOURCES: readonly string[] = [...files()].filter((path) => path.endsWith(".ts"))
  .sort();

/** Whether a file is a test or serves tests only, so that rules for the product do not bind it. */
export function isTest(path: string): boolean {
  return /_test(?:_task)?\.ts$/.test(path) || /(?:^|\/)(?:tests|testing|testdata)\//.test(path);
}

/** The TypeScript files that make up the product. */
export const PRODUCT: readonly string[] = SOURCES.filter((path) =>
  !isTest(path) && !path.startsWith("scripts/")
);

/** Source text with comments blanked out, so that rules see code alone; line numbers stay. */
export function code(path: string): string {
  const blank = (text: string) => text.replace(/[^\n]/g, " ");
  // Strings and templates come first, so that a `//` inside one is not taken for a comment.
  const token =
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return read(path).replace(token, (text) => (/^\/[/*]/.test(text) ? blank(text) : text));
}

/** Every place where a rule is broken, as `path:line: text`. */
export function offences(
  paths: Iterable<string>,
  form: RegExp,
  textOf: (path: string) => string = code,
): string[] {
  const found: string[] = [];
  for (const path of paths) {
    for (const [i, line] of textOf(path).split("\n").entries()) {
      if (form.test(line)) found.push(`${path}:${i + 1}: ${line.trim()}`);
    }
  }
  return found;
}
