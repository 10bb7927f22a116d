/**
 * Foundry's programs, the Solidity compiler and OpenZeppelin's sources, all from npm through Deno's
 * cache: nothing is installed beforehand.
 * @module
 */
import { findTool, missing, packageFile } from "@lloom/host/foundry";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Where the contracts are. */
export const CONTRACTS: string = join(ROOT, "contracts");
const CACHE = join(ROOT, ".cache/contracts");
/** Where `forge build` puts what it compiled. */
export const OUT: string = join(CACHE, "build/out");

export { findTool, missing };

/** How forge ended. */
export interface ForgeResult {
  readonly code: number;
  readonly output: string;
}

/** What forge is run with besides its arguments. */
export interface ForgeOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Shows the output as it comes, instead of returning it. @default false */
  readonly show?: boolean;
}

/** Runs forge in `contracts/`; undefined on a machine without it. */
export async function runForge(
  args: readonly string[],
  options: ForgeOptions = {},
): Promise<ForgeResult | undefined> {
  const forge = await findTool("forge");
  if (forge === undefined) return undefined;
  const libraries = await packageFile("@openzeppelin/contracts", ".");
  // Other commands compile in other ways, and take each other's results for their own.
  const folder = join(CACHE, args[0] ?? "build");
  const command = new Deno.Command(forge, {
    args: [...args],
    cwd: CONTRACTS,
    env: {
      NO_COLOR: "1",
      FOUNDRY_OUT: join(folder, "out"),
      FOUNDRY_CACHE_PATH: join(folder, "cache"),
      FOUNDRY_SOLC: await writeCompiler(),
      DAPP_REMAPPINGS: `@openzeppelin/contracts/=${libraries}/`,
      ...options.env,
    },
    stdin: "null",
    stdout: options.show === true ? "inherit" : "piped",
    stderr: options.show === true ? "inherit" : "piped",
  });
  if (options.show === true) return { code: (await command.spawn().status).code, output: "" };
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** A program for forge to start, since it takes no arguments with its compiler. */
async function writeCompiler(): Promise<string> {
  const path = join(CACHE, "solc");
  const script = fileURLToPath(new URL("./solc.ts", import.meta.url));
  const quoted = [Deno.execPath(), "run", "--quiet", "--allow-all", script]
    .map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  await Deno.mkdir(dirname(path), { recursive: true });
  // Renamed into place: another run may be starting the old one.
  const temporary = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(temporary, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`, {
    mode: 0o755,
  });
  await Deno.rename(temporary, path);
  return path;
}
