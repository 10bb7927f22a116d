/** A gateway over executors whose servers differ in kind and abilities, one of them paid. @module */
import assert from "node:assert/strict";
import type { Address } from "@lloom/core/bytes";
import { parseEther } from "viem/utils";
import type { Child } from "./child_process.ts";
import type { MockLlmOptions, MockLlmServer, MockRequest } from "./mock_llm_server.ts";
import { Network, readyOf, type RunningRole } from "./network.ts";
import { PaymentChain } from "./payment_chain.ts";

/** Its server can do everything: vLLM, started for tools. Its name has a slash, as many have. */
export const MODEL = "org/model:7b";
/** Of two executors, whose servers can do different things. */
export const SHARED_MODEL = "shared-model";
/** Its server, Ollama, writes calls of tools at once. */
export const OLLAMA_MODEL = "llama3.2:3b";
/** Makes vectors. */
export const EMBEDDING_MODEL = "org/embedding";
/** What the gateway lets its clients in with. */
export const KEY = "a-key-for-the-test";
/** Has a price. */
export const PAID_MODEL = "paid-model";

/** Base units for 1,000,000 tokens of prompt, and of answer. */
export const PRICES = { inbound: parseEther("0.5"), outbound: parseEther("2") } as const;
/** What a request may cost, in whole units of the asset. */
export const MAX_PRICE = "0.001";
/** What all requests of an hour may cost. */
export const BUDGET = "0.002";
/** Tokens of an answer that are delivered before they are paid. */
export const STEP_TOKENS = 8;

/** See the module. */
export interface GatewayPlace extends AsyncDisposable {
  readonly network: Network;
  readonly gateway: Child;
  /** Without a final slash. */
  readonly url: string;
  /** Reads images, keeps to schemas, calls tools, makes vectors. */
  readonly able: RunningRole;
  /** Offers {@linkcode SHARED_MODEL} too, of which it knows no more than that it writes. */
  readonly plain: RunningRole;
  /** Behind {@linkcode MODEL} and {@linkcode EMBEDDING_MODEL}. */
  readonly vllm: MockLlmServer;
  /** Behind {@linkcode OLLAMA_MODEL}. */
  readonly ollama: MockLlmServer;
  /** Behind {@linkcode SHARED_MODEL}, at each executor; the plain one has {@linkcode PAID_MODEL} too. */
  readonly shared: { readonly able: MockLlmServer; readonly plain: MockLlmServer };
  /** Absent on a machine without anvil: there, nothing has a price. */
  readonly chain: PaymentChain | undefined;
}

/** Starts everything. */
export async function openGatewayPlace(): Promise<GatewayPlace> {
  await using stack = new AsyncDisposableStack();
  const chain = await PaymentChain.start();
  if (chain !== undefined) stack.use(chain);
  const network = stack.use(await Network.open());
  const shared = {
    able: network.mock({ dialect: "llamacpp", models: [SHARED_MODEL] }),
    plain: network.mock({ models: [SHARED_MODEL, PAID_MODEL] }),
  };
  const embeddingModels = [EMBEDDING_MODEL];
  const vllm = network.mock({ dialect: "vllm", models: [MODEL], embeddingModels });
  const ollama = network.mock({ dialect: "ollama", models: [OLLAMA_MODEL] });
  const [{ gateway, url, address }, able, plain] = await Promise.all([
    startGateway(network, chain),
    network.executor({
      backends: [shared.able, vllm],
      backend: 'features = ["tools", "parallel_tools"]',
    }),
    network.executor({ backends: [shared.plain, ollama], config: pricing(chain) }),
  ]);
  for (const account of [address, plain.ready.address] as Address[]) {
    await chain?.rpc.setBalance({ address: account, value: parseEther("10") });
  }
  const everything = stack.move();
  return {
    ...{ network, gateway, url, able, plain, vllm, ollama, shared, chain },
    [Symbol.asyncDispose]: () => everything.disposeAsync(),
  };
}

async function startGateway(
  network: Network,
  chain: PaymentChain | undefined,
): Promise<Pick<GatewayPlace, "gateway" | "url"> & { readonly address: string }> {
  // Whoever fails is asked again by the SDKs, if at all.
  const settings = `[client.retry]\nmax_attempts = 1\n${blockchain(chain)}`;
  await Deno.writeTextFile(`${await network.directory("client")}/config.toml`, settings);
  const limits = ["--max-price", MAX_PRICE, "--budget-hour", BUDGET];
  const gateway = network.command(
    [
      ...["gateway", "--port", "0", "--format", "json"],
      ...(chain === undefined ? [] : limits),
    ],
    {},
    { env: { LLOOM_GATEWAY_KEYS: KEY } },
  );
  const { url, address } = await readyOf(gateway);
  return { gateway, url: url!, address };
}

/** The lines of a `config.toml` that name the chain. Anvil makes no block without a transaction. */
function blockchain(chain: PaymentChain | undefined): string {
  if (chain === undefined) return "";
  const { rpcUrl } = chain;
  return [
    "[blockchain]",
    `rpc_urls = ["${rpcUrl}"]`,
    "chain_id = 31337",
    "confirmations = 1",
    "poll_ms = 50",
    "",
  ].join("\n");
}

/** The lines of a `config.toml` that set a price, and name the chain. */
function pricing(chain: PaymentChain | undefined): string {
  if (chain === undefined) return "";
  return [
    blockchain(chain),
    `[pricing.models."${PAID_MODEL}"]`,
    `inbound_price = "${PRICES.inbound}"`,
    `outbound_price = "${PRICES.outbound}"`,
    "[payments]",
    `step_tokens = ${STEP_TOKENS}`,
  ].join("\n");
}

/** Tests by name, in order: each leaves the place as it was. */
export type GatewayTests = Readonly<Record<string, (place: GatewayPlace) => Promise<void>>>;

/** Has a server behave otherwise while something is done. */
export async function behaving<T>(
  mock: MockLlmServer,
  options: MockLlmOptions,
  action: () => Promise<T>,
): Promise<T> {
  const before: MockLlmOptions = { ...mock.options };
  Object.assign(mock.options, options);
  try {
    return await action();
  } finally {
    for (const name of Object.keys(options)) Reflect.deleteProperty(mock.options, name);
    Object.assign(mock.options, before);
  }
}

/** An answer that outlasts its reader. */
const SLOW = { tokens: 1000, delayMs: 20 } as const;

/**
 * Has a client hang up in the middle of an answer, and waits until the server sees its own request
 * aborted. Prints how long that took.
 * @param begin asks, and resolves once the answer has begun, with what hangs up
 */
export function hangingUp(
  mock: MockLlmServer,
  what: string,
  begin: () => Promise<() => void>,
): Promise<MockRequest> {
  return behaving(mock, SLOW, async () => {
    const aborted = mock.nextAbort();
    const hangUp = await begin();
    const at = Date.now();
    hangUp();
    const request = await aborted;
    assert.ok(request.sent < SLOW.tokens);
    console.log(`${what}: the server's request ended ${request.abortedAt! - at} ms later`);
    return request;
  });
}

/** The picture of one point, as a `data:` URL. */
export const PICTURE =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** A schema, and a text that keeps to it. */
export const CITY_SCHEMA = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
} as const;

/** Calls at once of two functions. */
export const CALLS = [
  { name: "weather", arguments: '{"city":"Köln"}' },
  { name: "time", arguments: '{"city":"Zürich","utc":true}' },
] as const;
