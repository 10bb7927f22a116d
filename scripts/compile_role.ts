/**
 * Compiles a role into one executable that carries its permissions: `deno task compile executor`.
 * Everything that is not in `roles/host/manifests/<role>.json` is denied to it.
 * @module
 */
import { Argument, Command } from "@commander-js/extra-typings";
import type { RoleName } from "@lloom/host/config";
import { manifestFlags, manifestOf } from "@lloom/host/manifest";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DEFAULT_API_KEY_VARIABLES } from "./install_role.ts";

const CHECKOUT = fileURLToPath(new URL("../", import.meta.url));

/** What a role loads by URL, which Deno does not see by itself. */
export const INCLUDED: Readonly<Record<RoleName, readonly string[]>> = {
  client: [
    "roles/host/stores/ledger_task.ts",
    "workers/crypto/crypto_task.ts",
    "roles/client/gateway/page/index.html",
    "roles/client/gateway/page/page.css",
    "roles/client/gateway/page/icon.svg",
    "roles/client/gateway/page/page.js",
    "roles/client/gateway/page/answer_view.js",
    "roles/client/gateway/page/gateway.js",
    "roles/client/gateway/page/words.js",
  ],
  executor: [
    "roles/host/stores/ledger_task.ts",
    "workers/crypto/crypto_task.ts",
    "workers/inference/inference_task.ts",
    "workers/inference/backends/embedded/lloom-demo.q8_0.gguf",
  ],
  validator: ["workers/crypto/crypto_task.ts"],
  faucet: [],
};

/** What to compile, and how. Paths may be relative: they count from where the program is run. */
export interface CompileOptions {
  readonly role: RoleName;
  /** File to write. */
  readonly output: string;
  /** Platform to compile for, as Deno names it. @default this one */
  readonly target?: string;
  /** What the program may read and write. */
  readonly dataDir: string;
  /** Configuration files to be read besides `config.toml` in the data directory. */
  readonly config: readonly string[];
  /** Variables that hold API keys. */
  readonly env: readonly string[];
}

/** The arguments of `deno` that compile a role. */
export function compileArguments(options: CompileOptions): readonly string[] {
  const { role, output, target, dataDir, config, env } = options;
  const manifest = manifestOf(role);
  // A compiled program may read what is inside it without being told.
  const values = { code: [], data: [dataDir], config, env };
  return [
    ...["compile", "--frozen", "--exclude-unused-npm", "--output", output],
    ...["--config", join(CHECKOUT, "deno.json")],
    ...(target === undefined ? [] : ["--target", target]),
    ...INCLUDED[role].flatMap((path) => ["--include", join(CHECKOUT, path)]),
    ...manifestFlags(manifest, values),
    join(CHECKOUT, "roles", role, "main.ts"),
    ...manifest.arguments,
  ];
}

if (import.meta.main) {
  const program = new Command("compile")
    .description(
      "Compiles a role into one executable with exactly the permissions of its manifest.",
    )
    .addArgument(
      new Argument("<role>", "what to compile").choices(
        ["client", "executor", "validator", "faucet"] as const,
      ),
    )
    .option("--output <file>", "file to write; default: dist/lloom-<role>")
    .option("--target <platform>", "platform to compile for; default: this one")
    .option("--data-dir <dir>", "what it may read and write; default: ~/.lloom/<role>")
    .option("--config <file...>", "further configuration files that it may read", [] as string[])
    .option("--api-key-env <variable...>", "variables that it may read API keys from", [
      ...DEFAULT_API_KEY_VARIABLES,
    ])
    .parse();
  const [role] = program.processedArgs;
  const { output, target, dataDir, config, apiKeyEnv: env } = program.opts();
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
  if (dataDir === undefined && home === undefined) {
    program.error("error: name a --data-dir: there is no home directory", { exitCode: 2 });
  }
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...compileArguments({
        role,
        output: output ?? join("dist", `lloom-${role}`),
        dataDir: dataDir ?? join(home ?? "", ".lloom", role),
        config,
        env,
        ...(target !== undefined && { target }),
      }),
    ],
  }).spawn().status;
  Deno.exit(code);
}
