/** The command `generate-identity`, the same for every role. @module */
import { Command } from "@commander-js/extra-typings";
import { LloomError } from "@lloom/core/errors";
import { generateIdentity, toChecksumAddress } from "@lloom/core/identity";
import { openCommand } from "./command_line.ts";
import type { CommonConfig } from "./config/common_settings.ts";
import type { RoleSettings } from "./config/role_settings.ts";
import { keyFilePath, writeKeyFile } from "./identity_file.ts";
import { print } from "./terminal.ts";

/**
 * Makes a new key, stores it, and prints the names that follow from it; never the key.
 * A file that exists is not replaced: whoever loses a key loses what its address holds.
 */
export function generateIdentityCommand<T extends CommonConfig>(
  settings: RoleSettings<T>,
): Command {
  const generate = new Command("generate-identity");
  generate
    .description("make a new key and store it where this role looks for one, or in <file>")
    .argument("[file]", "where to store the key")
    .action((file, _options, command) => {
      const { config, format } = openCommand(settings, command);
      const path = file ?? keyFilePath(config);
      const identity = generateIdentity();
      if (!writeKeyFile(path, identity)) {
        throw new LloomError(
          "identity_invalid",
          `write key file ${path}: exists already; name another file, or move this one away`,
        );
      }
      const { peerId } = identity;
      const address = toChecksumAddress(identity.address);
      print(
        format === "json"
          ? `${JSON.stringify({ peerId, address, keyFile: path })}\n`
          : `PeerId    ${peerId}\nAddress   ${address}\nKey file  ${path}\n`,
      );
    });
  return generate;
}
