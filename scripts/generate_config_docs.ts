/**
 * Writes docs/configuration.md from the settings tables: `deno task docs:config`.
 * @module
 */
import {
  CLIENT_SETTINGS,
  configurationManual,
  EXECUTOR_SETTINGS,
  FAUCET_SETTINGS,
  VALIDATOR_SETTINGS,
} from "@lloom/host/config";

const INTRODUCTION = `# Configuration

Generated from the settings tables in \`roles/host/config\` by \`deno task docs:config\`.

Each role takes its settings from flags, then from \`LLOOM_*\` environment variables, then from a TOML
file, then from defaults: the first that says something wins. The file is the one named by
\`--config\` or \`LLOOM_CONFIG_FILE\`, else \`config.toml\` in the data directory. An unknown key or a
value out of range stops the program with exit code 3 and a message that names the file, variable or
flag, the key, and what is allowed there. An unknown \`LLOOM_*\` variable gives a warning.

Variables take lists separated by commas. Flags that take lists may be repeated. Where a list is
expected in a file, a single value will do.
`;

/** The whole manual page. */
export function configurationPage(): string {
  return [
    INTRODUCTION,
    configurationManual(CLIENT_SETTINGS),
    configurationManual(EXECUTOR_SETTINGS),
    configurationManual(VALIDATOR_SETTINGS),
    configurationManual(FAUCET_SETTINGS),
  ].join("\n").trimEnd() + "\n";
}

if (import.meta.main) {
  const page = new URL("../docs/configuration.md", import.meta.url);
  await Deno.writeTextFile(page, configurationPage());
}
