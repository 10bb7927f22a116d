/**
 * The contracts that Lloom pays through: their ABIs, addresses, and what identifies a version of
 * them. `@lloom/contracts/deploy` deploys them.
 * @module
 */
export * from "./generated/addresses.ts";
export * from "./generated/executor_bond_abi.ts";
export * from "./generated/init_code_hashes.ts";
export * from "./generated/lloom_channels_abi.ts";
