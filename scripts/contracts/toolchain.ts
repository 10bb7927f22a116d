/**
 * Foundry's programs, the Solidity compiler and OpenZeppelin's sources, all from npm through Deno's
 * cache: nothing is installed beforehand.
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOUNDRY_VERSION = "1.7.1";
/** The platforms that npm has each program for. Elsewhere it is looked for in `$FORGE` or `$ANVIL`, and in PATH. */
const PLATFORMS: Readonly<Record<Tool, readonly string[]>> = {
  forge: ["linux-amd64", "darwin-arm64"],
  anvil: ["linux-amd64"],
};

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Where the contracts are. */
export const CONTRACTS: string = join(ROOT, "contracts");
const CACHE = join(ROOT, ".cache/contracts");
/** Where `forge build` puts what it compiled. */
export const OUT: string = join(CACHE, "build/out");

/** A program of Foundry. */
export type Tool = "forge" | "anvil";

/** The file of a package in Deno's cache, fetched if it is not there yet. */
async function packageFile(specifier: string, path: string): Promise<string> {
  const manifest = `${specifier}/package.json`;
  await import(manifest, { with: { type: "json" } });
  return join(dirname(fileURLToPath(import.meta.resolve(manifest))), path);
}

/** Where a program is: as `$FORGE` or `$ANVIL` says, else from npm, else in PATH; undefined if nowhere. */
export async function findTool(tool: Tool): Promise<string | undefined> {
  const named = Deno.env.get(tool.toUpperCase());
  if (named !== undefined && named !== "") return named;
  const { os, arch } = Deno.build;
  const platform = `${os}-${arch === "x86_64" ? "amd64" : "arm64"}`;
  if (PLATFORMS[tool].includes(platform)) {
    return packageFile(`npm:@foundry-rs/${tool}-${platform}@${FOUNDRY_VERSION}`, `bin/${tool}`);
  }
  try {
    const { success } = await new Deno.Command(tool, { args: ["--version"], stdout: "null" })
      .output();
    return success ? tool : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Why something that needs a program is left out. */
export function missing(tool: Tool): string {
  const { os, arch } = Deno.build;
  return `no ${tool} for ${os} on ${arch}: set ${tool.toUpperCase()} to its path, or add it to PATH`;
}

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
