/** `peers`: whom this client reaches, and what they are. @module */
import { Command } from "@commander-js/extra-typings";
import { addressOfPeerId, toChecksumAddress } from "@lloom/core/identity";
import { LloomError } from "@lloom/core/errors";
import {
  loadIdentity,
  openCommand,
  type ParsedCommand,
  print,
  printableJson,
  printTable,
  runInterruptibly,
} from "@lloom/host";
import { CLIENT_SETTINGS } from "@lloom/host/config";
import type { AskedPeer, ConnectedPeer, NetworkProbe } from "../diagnose/network_probe.ts";
import { requireNetwork } from "../network.ts";
import { showProgress } from "../progress.ts";

/** `peers` */
export function peersCommand(): Command {
  return new Command("peers")
    .description("list the peers that this client is connected to, and the executors they know")
    .action((_options, command) => runInterruptibly((signal) => run(command, signal)));
}

/** @throws {LloomError} `config_invalid` without a way into a network, `peer_unreachable` with nobody there */
async function run(command: ParsedCommand, signal: AbortSignal): Promise<void> {
  const { config, format, sandboxWorkers } = openCommand(CLIENT_SETTINGS, command);
  requireNetwork(config);
  const { NetworkProbe } = await import("../diagnose/network_probe.ts");
  const probe = await NetworkProbe.open(loadIdentity(config), config.network, sandboxWorkers);
  const hide = showProgress(() => `joining the network, ${probe.peers().length} peers`);
  let rows;
  try {
    await probe.join(signal);
    const asked = await probe.askAll(signal);
    rows = probe.peers().map((peer) => rowOf(peer, asked, probe));
  } finally {
    hide();
    await probe.close();
  }
  if (rows.length === 0) {
    throw new LloomError(
      "peer_unreachable",
      "join network: no bootstrap node answers; `diagnose` looks why",
    );
  }
  if (format === "json") return print(`${printableJson({ peers: rows })}\n`);
  printTable(
    ["PEER", "ROLE", "EXECUTORS", "MODELS", "ANSWER", "AT"],
    rows.map(({ peerId, role, executors, models, answerMs, multiaddr }) => [
      peerId,
      role,
      role === "registry" ? `${executors}` : "-",
      models === undefined ? "-" : `${models}`,
      answerMs === undefined ? "none" : `${answerMs} ms`,
      multiaddr,
    ]),
  );
}

/** One peer, as `--format json` has it. */
function rowOf(
  { peerId, address, relayed }: ConnectedPeer,
  asked: readonly AskedPeer[],
  probe: NetworkProbe,
) {
  const answer = asked.find((one) => one.peerId === peerId);
  const isAnswered = answer !== undefined && answer.error === undefined;
  const own = probe.executors().find(({ announcement }) => announcement.peerId === peerId);
  return {
    peerId,
    address: toChecksumAddress(addressOfPeerId(peerId)),
    multiaddr: address,
    relayed,
    // An executor answers for itself, and all others that answer keep a registry.
    role: own !== undefined ? "executor" : isAnswered ? "registry" : "peer",
    ...(isAnswered && { answerMs: answer.ms, executors: answer.named.length }),
    ...(own && { models: own.announcement.models.length }),
  };
}
