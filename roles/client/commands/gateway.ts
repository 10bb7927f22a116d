/** `gateway`: the network behind an HTTP server on this machine, for any OpenAI or Anthropic client. @module */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { toChecksumAddress } from "@lloom/core/identity";
import {
  createSubcommand,
  openCommand,
  type ParsedCommand,
  printReady,
  runInterruptibly,
} from "@lloom/host";
import { CLIENT_SETTINGS } from "@lloom/host/config";
import { routingOptions } from "../asking/routing_options.ts";
import { ownersTerms } from "../gateway/ask_options.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type NetworkContext, withNetwork } from "../network.ts";

/** `gateway` */
export function gatewayCommand(): CommandUnknownOpts {
  return createSubcommand(
    "gateway",
    CLIENT_SETTINGS,
    "serve the network to OpenAI's and Anthropic's clients on this machine",
  ).action((_options, command) => run(command));
}

/** @throws {LloomError} `config_invalid`; what joining the network throws */
async function run(command: ParsedCommand): Promise<void> {
  const context = openCommand(CLIENT_SETTINGS, command);
  const { stopWithStdin } = context;
  await runInterruptibly((signal) =>
    withNetwork(context, signal, async (network) => {
      const gateway = await serve(network);
      try {
        await aborted(signal);
      } finally {
        await gateway.stop();
      }
    }), { stopWithStdin });
}

/** Being asked to stop is how a service ends well. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function serve(
  { config, client, wallet, format }: NetworkContext,
): Promise<Gateway> {
  // Loaded after the settings were found right.
  const { Gateway } = await import("../gateway/gateway.ts");
  const { gateway: settings, storage: { dataDir } } = config;
  const { hedgeAfterMs, continueBroken } = settings;
  const gateway = await Gateway.start(settings, {
    client,
    dataDir,
    terms: ownersTerms({
      ...routingOptions(config),
      continueBroken,
      ...(hedgeAfterMs !== undefined && { hedgeAfterMs }),
    }, wallet),
  });
  const { peerId, address } = client.identity;
  printReady({
    role: "gateway",
    peerId,
    address: toChecksumAddress(address),
    multiaddrs: [],
    url: gateway.url,
  }, format);
  return gateway;
}
