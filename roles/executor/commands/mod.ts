/** The subcommands of `lloom-executor`. @module */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { channelsCommand } from "./channels.ts";
import { earningsCommand } from "./earnings.ts";
import { settleCommand } from "./settle.ts";

/** All of them, in the order of `--help`. */
export function executorCommands(): readonly CommandUnknownOpts[] {
  return [earningsCommand(), channelsCommand(), settleCommand()];
}
