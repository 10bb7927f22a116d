/** The relay that a node is to others, with limits of ours. @module */
import type { CircuitRelayService } from "@libp2p/circuit-relay-v2";
import {
  MAX_RELAY_RESERVATIONS,
  MAX_RELAY_RESERVATIONS_PER_HOST,
  MAX_RELAYED_BYTES,
  MAX_RELAYED_MS,
} from "../protocol/limits.ts";
import { hostOf } from "./addresses.ts";
import type { Modules } from "./modules.ts";

type RelayModule = NonNullable<Modules["relay"]>;
type Components = Parameters<ReturnType<RelayModule["circuitRelayServer"]>>[0];

/** libp2p's relay service, of which no host gets more than its share. */
export function relayServer(
  { circuitRelayServer }: RelayModule,
  maxPerHost: number = MAX_RELAY_RESERVATIONS_PER_HOST,
): (components: Components) => CircuitRelayService {
  const create = circuitRelayServer({
    reservations: {
      maxReservations: MAX_RELAY_RESERVATIONS,
      defaultDataLimit: BigInt(MAX_RELAYED_BYTES),
      defaultDurationLimit: MAX_RELAYED_MS,
    },
  });
  return (components) => {
    const server = create(components);
    const { connectionGater, connectionManager } = components;
    connectionGater.denyInboundRelayReservation = (source) => {
      if (server.reservations.has(source)) return false;
      // One peer may be connected from several hosts: it counts for each.
      const hosts = new Set(
        connectionManager.getConnections(source).map((connection) => {
          return hostOf(connection.remoteAddr);
        }),
      );
      hosts.delete(undefined);
      return [...hosts].some((host) => countAt(server, host!) >= maxPerHost);
    };
    return server;
  };
}

function countAt({ reservations }: CircuitRelayService, host: string): number {
  let count = 0;
  for (const { addr } of reservations.values()) if (hostOf(addr) === host) count++;
  return count;
}
