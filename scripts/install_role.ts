/**
 * Installs a role as a command that carries its permissions: `deno task install-role executor`.
 * Everything that is not in `roles/host/manifests/<role>.json` is denied to it.
 * @module
 */
import { Argument, Command } from "@commander-js/extra-typings";
import type { RoleName } from "@lloom/host/config";
import { manifestFlags, manifestOf, type ManifestValues } from "@lloom/host/manifest";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The variables that the installed command may read API keys from, unless others are named. */
export const DEFAULT_API_KEY_VARIABLES: readonly string[] = ["OPENAI_API_KEY"];

const CHECKOUT = fileURLToPath(new URL("../", import.meta.url));

/** What to install, and where. */
export interface InstallOptions {
  readonly role: RoleName;
  /** Name of the command. */
  readonly name: string;
  /** Entrypoint. @default roles/<role>/main.ts */
  readonly main?: string;
  /** Directory above `bin`. @default Deno's own */
  readonly root?: string;
  readonly dataDir: string;
  /** Configuration files to be read besides `config.toml` in the data directory. */
  readonly config: readonly string[];
  /** Variables that hold API keys. */
  readonly env: readonly string[];
}

/** The arguments of `deno` that install a role. */
export function installArguments(options: InstallOptions): readonly string[] {
  const folder = join(CHECKOUT, "roles", options.role);
  const manifest = manifestOf(options.role);
  const values: ManifestValues = {
    code: [resolve(CHECKOUT)],
    data: [resolve(options.dataDir)],
    config: options.config.map((path) => resolve(path)),
    env: options.env,
  };
  return [
    ...["install", "--global", "--force", "--name", options.name],
    ...["--config", join(CHECKOUT, "deno.json")],
    ...(options.root === undefined ? [] : ["--root", resolve(options.root)]),
    ...manifestFlags(manifest, values),
    options.main ?? join(folder, "main.ts"),
    "--",
    ...manifest.arguments,
  ];
}

/** Installs a role. @throws {Error} with Deno's own message if it cannot be installed */
export async function installRole(options: InstallOptions): Promise<void> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...installArguments(options)],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 0) {
    throw new Error(`install ${options.role}: ${new TextDecoder().decode(stderr).trim()}`);
  }
}

if (import.meta.main) {
  const program = new Command("install-role")
    .description("Installs a role as a command with exactly the permissions of its manifest.")
    .addArgument(
      new Argument("<role>", "what to install").choices(
        ["client", "executor", "validator", "faucet"] as const,
      ),
    )
    .option("--name <name>", "name of the command; default: lloom-<role>")
    .option("--root <dir>", "installs to <dir>/bin")
    .option("--data-dir <dir>", "what it may read and write; default: ~/.lloom/<role>")
    .option("--config <file...>", "further configuration files that it may read", [] as string[])
    .option("--api-key-env <variable...>", "variables that it may read API keys from", [
      ...DEFAULT_API_KEY_VARIABLES,
    ])
    .parse();
  const [role] = program.processedArgs;
  const { name = `lloom-${role}`, root, dataDir, config, apiKeyEnv: env } = program.opts();
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
  if (dataDir === undefined && home === undefined) {
    program.error("error: name a --data-dir: there is no home directory", { exitCode: 2 });
  }
  const options: InstallOptions = {
    role,
    name,
    dataDir: dataDir ?? join(home ?? "", ".lloom", role),
    config,
    env,
    ...(root !== undefined && { root }),
  };
  await installRole(options);
  const granted = installArguments(options).filter((argument) => argument.startsWith("--allow-"));
  console.log(`installed ${name}; it may, and nothing else:\n  ${granted.join("\n  ")}`);
  if (dataDir !== undefined) console.log(`start it with --data-dir ${resolve(dataDir)}`);
}
