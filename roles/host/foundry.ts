/** Finds Foundry's programs: from npm through Deno's cache, where npm has them. @module */
import { getLogger } from "@logtape/logtape";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOUNDRY_VERSION = "1.7.1";
/** The platforms that npm has each program for. Elsewhere it is looked for in `$FORGE` or `$ANVIL`, and in PATH. */
const PLATFORMS: Readonly<Record<Tool, readonly string[]>> = {
  forge: ["linux-amd64", "darwin-arm64"],
  anvil: ["linux-amd64"],
};

const log = getLogger(["lloom", "foundry"]);

/** A program of Foundry. */
export type Tool = "forge" | "anvil";

/** The file of a package in Deno's cache, fetched if it is not there yet. */
export async function packageFile(specifier: string, path: string): Promise<string> {
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
    const specifier = `npm:@foundry-rs/${tool}-${platform}@${FOUNDRY_VERSION}`;
    try {
      return await packageFile(specifier, `bin/${tool}`);
    } catch (error) {
      log.warn("{specifier} cannot be fetched: {error}", { specifier, error });
    }
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
