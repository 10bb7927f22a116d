/** The program `lloom-validator`. @module */
import { toChecksumAddress } from "@lloom/core/identity";
import {
  createProgram,
  generateIdentityCommand,
  loadIdentity,
  openCommand,
  printReady,
  runProgram,
  runUntilSignal,
} from "@lloom/host";
import { VALIDATOR_SETTINGS } from "@lloom/host/config";

/**
 * Runs the program.
 * @returns the code to exit with
 */
export function main(args: readonly string[]): Promise<number> {
  const program = createProgram(
    VALIDATOR_SETTINGS,
    "Keeps the Lloom network discoverable: bootstrap node, DHT server, relay and registry.",
  );
  program
    .addCommand(generateIdentityCommand(VALIDATOR_SETTINGS))
    .action(async (_, command) => {
      const { config, format, sandboxWorkers, stopWithStdin } = openCommand(
        VALIDATOR_SETTINGS,
        command,
      );
      const identity = loadIdentity(config);
      // Loaded after the settings were found right: the network's code is most of the start.
      const { Validator } = await import("./validator.ts");
      await runUntilSignal(
        async () => {
          const validator = await Validator.start(identity, config, { sandboxWorkers });
          printReady({
            role: "validator",
            peerId: identity.peerId,
            address: toChecksumAddress(identity.address),
            multiaddrs: validator.node.multiaddrs(),
          }, format);
          return validator;
        },
        (validator) => validator.stop(),
        { stopWithStdin },
      );
    });
  return runProgram(program, args);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
