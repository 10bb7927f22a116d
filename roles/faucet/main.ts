/** The program `lloom-faucet`. @module */
import { toChecksumAddress } from "@lloom/core/identity";
import {
  createProgram,
  generateIdentityCommand,
  loadIdentity,
  openCommand,
  print,
  printable,
  printReady,
  runProgram,
  runUntilSignal,
  systemClock,
} from "@lloom/host";
import { FAUCET_SETTINGS } from "@lloom/host/config";
import type { PrintedMail } from "./mailer.ts";

/**
 * Runs the program.
 * @returns the code to exit with
 */
export function main(args: readonly string[]): Promise<number> {
  const program = createProgram(
    FAUCET_SETTINGS,
    "Fills accounts up, so that people can try Lloom's payments: one link by mail, one payment.",
  );
  program
    .addCommand(generateIdentityCommand(FAUCET_SETTINGS))
    .action(async (_, command) => {
      const { config, format, stopWithStdin } = openCommand(FAUCET_SETTINGS, command);
      const identity = loadIdentity(config);
      // Loaded after the settings were found right: the chain's code is most of the start.
      const { Faucet } = await import("./faucet.ts");
      const { PrintingMailer, SmtpMailer } = await import("./mailer.ts");
      const { ChainAccess } = await import("@lloom/host/chain");
      const mailer = config.mail.print
        ? new PrintingMailer((mail) => printMail(mail, format))
        : new SmtpMailer(config.mail);
      await runUntilSignal(
        async () => {
          const { blockchain, storage: { dataDir } } = config;
          const chain = new ChainAccess({ blockchain, identity, dataDir });
          // Nobody else may spend from the account while the faucet runs.
          const { outbox, release } = await chain.hold();
          const { reader } = chain;
          const faucet = await Faucet.start(identity, config, {
            reader,
            outbox,
            mailer,
            clock: systemClock,
          });
          printReady({
            role: "faucet",
            peerId: identity.peerId,
            address: toChecksumAddress(identity.address),
            multiaddrs: [],
            url: faucet.url,
          }, format);
          return { faucet, release, chain };
        },
        async ({ faucet, release, chain }) => {
          await faucet.stop();
          await release();
          chain.close();
        },
        { stopWithStdin },
      );
    });
  return runProgram(program, args);
}

function printMail({ to, link }: PrintedMail, format: "text" | "json"): void {
  print(
    format === "json"
      ? `${JSON.stringify({ event: "mail", to, link })}\n`
      : `mail to ${printable(to)}: ${link}\n`,
  );
}

if (import.meta.main) Deno.exit(await main(Deno.args));
