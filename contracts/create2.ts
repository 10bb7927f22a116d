/**
 * The deterministic deployment proxy (https://github.com/Arachnid/deterministic-deployment-proxy):
 * what it creates has the same address on every chain.
 * @module
 */
import { concatHex, getContractAddress, type Hex } from "viem";

/** Where the proxy is. */
export const PROXY: Hex = "0x4e59b44847b379578588920ca78fbf26c0b4956c";
/** Nobody has the key of the account that creates the proxy: its only transaction has a signature chosen freely. */
export const PROXY_CREATOR: Hex = "0x3fab184622dc19b6109349b94811493bf2a45362";
/** Wei that {@linkcode PROXY_TRANSACTION} costs: its gas limit times its gas price. */
export const PROXY_COST = 10_000_000_000_000_000n;
/** Creates the proxy, on any chain that takes transactions without a chain id. */
export const PROXY_TRANSACTION: Hex =
  "0xf8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222";

const SALT: Hex = `0x${"00".repeat(32)}`;

/** What is sent to the proxy to create a contract. */
export function creationData(initCode: Hex): Hex {
  return concatHex([SALT, initCode]);
}

/** Where the proxy creates a contract, in lower case. */
export function createdAddress(initCode: Hex): Hex {
  const options = { opcode: "CREATE2", from: PROXY, salt: SALT, bytecode: initCode } as const;
  return getContractAddress(options).toLowerCase() as Hex;
}
