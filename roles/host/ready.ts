/** The line that says a service is ready: for supervisors and scripts to wait for. @module */
import { print } from "./terminal.ts";

/** What a service tells when it accepts work. */
export interface ReadyInfo {
  /** Which role. */
  readonly role: string;
  /** Who it is on the network. */
  readonly peerId: string;
  /** Its Ethereum address, with EIP-55's checksum. */
  readonly address: string;
  /** Where it may be reached. */
  readonly multiaddrs: readonly string[];
  /** What it serves, if it serves models. */
  readonly models?: readonly string[];
  /** Where it answers HTTP, if it does. */
  readonly url?: string;
}

/** Writes the line to standard output. */
export function printReady(info: ReadyInfo, format: "text" | "json"): void {
  if (format === "json") return print(`${JSON.stringify({ event: "ready", ...info })}\n`);
  const { role, peerId, address, multiaddrs, models, url } = info;
  const places = url === undefined ? multiaddrs : [...multiaddrs, url];
  const at = places.length === 0 ? "not listening" : `listening on ${places.join(" ")}`;
  const serves = models === undefined
    ? ""
    : models.length === 0
    ? ", serving no model yet"
    : `, serving ${models.join(", ")}`;
  print(`${role} ready: ${peerId} ${address} ${at}${serves}\n`);
}

/** Whether a line of a role's JSON output is the one that says it is ready. */
export function isReady(line: unknown): line is ReadyInfo {
  return typeof line === "object" && line !== null && "event" in line && line.event === "ready";
}
