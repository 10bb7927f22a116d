/** A model server, the network before it, and gateways to it: one that pays, and one that does not. @module */
import type { Address } from "@lloom/core/bytes";
import type { LocalChain } from "@lloom/host/local-chain";
import type { HttpPlace } from "./http_asks.ts";
import { type BackendProgram, type Market, withMarket } from "./market.ts";

const FUNDS = 10n ** 20n;
const PAID_EXECUTOR = [
  "[pricing]",
  'default_inbound_price = "500000000000000"',
  'default_outbound_price = "2000000000000000"',
  "",
].join("\n");
const PAYING_GATEWAY = ["[payments]", 'channel_deposit = "1"', ""].join("\n");

/** A thousand answers at once, and some. */
const STEADY: BackendProgram = {
  program: "bench/testdata/steady_model.ts",
  args: [],
  maxConcurrent: 1024,
};

/** Process ids by name. */
export type Pids = Readonly<Record<string, number>>;

/** A way through the network. */
export interface GatewayPlace extends HttpPlace {
  /** What is at work on it besides the caller. */
  readonly pids: Pids;
}

/** Where the same model is asked for. */
export interface Places {
  readonly direct: GatewayPlace;
  readonly free: GatewayPlace;
  /** Absent without a chain. */
  readonly paid?: GatewayPlace;
}

/** Starts all, for the time that `use` takes. */
export async function withPlaces<T>(
  chain: LocalChain | undefined,
  use: (places: Places) => Promise<T>,
): Promise<T> {
  return await withMarket(async (market) => {
    const { backendUrl, pids: { backend, executor } } = market;
    const gateway = await market.startGateway("gateway", "");
    return await use({
      direct: { url: backendUrl, pids: { backend } },
      free: { url: gateway.ready.url!, pids: { gateway: gateway.pid, executor, backend } },
      ...(chain && { paid: await startPaid(market, chain) }),
    });
  }, STEADY);
}

async function startPaid(market: Market, chain: LocalChain): Promise<GatewayPlace> {
  const { backend } = market.pids;
  const executor = await market.startExecutor("paid", `${chain.toml}\n${PAID_EXECUTOR}`);
  const gateway = await market.startGateway("paying", `${chain.toml}\n${PAYING_GATEWAY}`);
  for (const { ready } of [executor, gateway]) {
    await chain.fillUp(ready.address.toLowerCase() as Address, FUNDS);
  }
  return {
    url: gateway.ready.url!,
    headers: { "x-lloom-executor": executor.ready.peerId },
    pids: { gateway: gateway.pid, executor: executor.pid, backend },
  };
}
