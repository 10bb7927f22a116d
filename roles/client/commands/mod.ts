/** The subcommands of `lloom-client`. @module */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { channelCommand } from "./channel.ts";
import { chatCommand } from "./chat.ts";
import { diagnoseCommand } from "./diagnose.ts";
import { gatewayCommand } from "./gateway.ts";
import { historyCommand } from "./history.ts";
import { balanceCommand, depositCommand, withdrawCommand } from "./money.ts";
import { peersCommand } from "./peers.ts";
import { receiptCommand } from "./receipt.ts";
import { showRequestCommand } from "./show_request.ts";
import { statusCommand } from "./status.ts";

/** All of them, in the order of `--help`. */
export function clientCommands(): readonly CommandUnknownOpts[] {
  return [
    gatewayCommand(),
    balanceCommand(),
    depositCommand(),
    withdrawCommand(),
    channelCommand(),
    historyCommand(),
    showRequestCommand(),
    statusCommand(),
    receiptCommand(),
    peersCommand(),
    chatCommand(),
    diagnoseCommand(),
  ];
}
