/** A chain of its own for a test or a bench. @module */
export { type Anvil, ANVIL_CHAIN_ID, FUNDED_KEY, startAnvil } from "@lloom/host/anvil";
