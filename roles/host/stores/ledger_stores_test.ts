import { dirname, join } from "node:path";
import { testBuyerStore, testSellerStore } from "../../../tests/support/ledger_compliance.ts";
import { openBuyerStore, type OpenLedger, openSellerStore } from "./ledger_stores.ts";

async function inNewFolder<S>(
  open: (path: string) => Promise<OpenLedger<S>>,
): Promise<OpenLedger<S>> {
  const path = join(await Deno.makeTempDir(), "payments.db");
  const { store, close } = await open(path);
  return {
    store,
    async close(): Promise<void> {
      await close();
      await Deno.remove(dirname(path), { recursive: true });
    },
  };
}

const openBuyer = () => inNewFolder((path) => openBuyerStore({ path, sandbox: true }));
const openSeller = () => inNewFolder((path) => openSellerStore({ path, sandbox: true }));
testBuyerStore("on disk", openBuyer);
testSellerStore("on disk", openSeller, openBuyer);
