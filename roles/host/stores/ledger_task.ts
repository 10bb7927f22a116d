/** Entry of the ledger worker: waiting for the disk stops nobody else. @module */
import { createWasmKeccak256 } from "@lloom/workers/keccak";
import { serve } from "@lloom/workers/serve";
import { type Ledger, type LedgerKind, openLedger, type Order, type Outcome } from "./ledger.ts";

/** What the worker is told when it starts. */
export interface LedgerInit {
  readonly kind: LedgerKind;
  /** The database's file. */
  readonly path: string;
}

/** What it answers. */
export interface LedgerMethods {
  run(orders: readonly Order[]): readonly Outcome[];
  close(): void;
}

serve<LedgerInit>(async ({ kind, path }) => {
  const keccak256 = await createWasmKeccak256();
  let ledger: Ledger | undefined;
  // Opened by the first call, so that what is wrong with the database reaches the caller.
  const open = (): Ledger => ledger ??= openLedger(kind, path, keccak256);
  const methods: LedgerMethods = {
    run: (orders) => open().run(orders),
    close: () => ledger?.close(),
  };
  return new Map(Object.entries(methods));
});
