/** What every answer of the gateway is told apart by. @module */
import { toHex } from "@lloom/core/bytes";
import type { Answer } from "./answer.ts";

/** A name for a new answer, and when it was asked for. */
export function newStamp(): Pick<Answer, "id" | "createdS"> {
  const id = toHex(crypto.getRandomValues(new Uint8Array(16))).slice(2);
  return { id, createdS: nowS() };
}

/** Unix seconds. */
export function nowS(): number {
  return Math.floor(Date.now() / 1000);
}
