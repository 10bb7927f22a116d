/** What the command line asks of a gateway that runs already: a response in the background. @module */
import { isErrorCode, LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject, MAX_RESPONSE_BYTES, parseJson } from "@lloom/core/protocol";
import { UsageError } from "@lloom/host";
import type { ClientConfig } from "@lloom/host/config";
import { routingOptions } from "../asking/routing_options.ts";
import type { Flags } from "../flags.ts";
import { callGateway, type GatewayCall, gatewayUrl } from "../gateway_http.ts";
import type { PromptRequest } from "./prompt_request.ts";

/** A gateway on this machine takes a request, or tells of one, at once. */
const TIMEOUT_MS = 30_000;

/**
 * Has the gateway ask in the background.
 * @returns the response as it begins, with its id
 * @throws {LloomError} `peer_unreachable` without a gateway, else what the gateway refuses it for
 */
export async function askGateway(
  request: PromptRequest,
  { priority, callbackUrl }: Flags,
  config: ClientConfig,
  signal: AbortSignal,
): Promise<JsonObject> {
  const { model, prompt, systemPrompt, temperature, maxTokens } = request;
  return await call(config, "/v1/responses", signal, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...routingHeaders(config, priority),
      ...(callbackUrl !== undefined && { "x-lloom-callback-url": callbackUrl }),
    },
    body: JSON.stringify({
      model,
      input: prompt,
      ...(systemPrompt !== undefined && { instructions: systemPrompt }),
      ...(temperature !== undefined && { temperature }),
      max_output_tokens: maxTokens,
      background: true,
    }),
  });
}

/**
 * A response that the gateway keeps.
 * @throws {UsageError} if it keeps none of this id; {LloomError} as {@linkcode askGateway}
 */
export async function findResponse(
  id: string,
  config: ClientConfig,
  signal: AbortSignal,
): Promise<JsonObject> {
  return await call(config, `/v1/responses/${encodeURIComponent(id)}`, signal, {});
}

async function call(
  { gateway: { host, port, apiKeys: [key] } }: ClientConfig,
  path: string,
  signal: AbortSignal,
  request: GatewayCall,
): Promise<JsonObject> {
  const address = gatewayUrl(host, port);
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const headers = { ...request.headers, ...authorization };
  const within = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  let status: number;
  let answer: unknown;
  try {
    const url = address + path;
    const reply = await callGateway(url, { ...request, headers }, MAX_RESPONSE_BYTES, within);
    status = reply.status;
    answer = parseJson(reply.body, MAX_RESPONSE_BYTES);
  } catch (cause) {
    signal.throwIfAborted();
    throw new LloomError(
      "peer_unreachable",
      `ask gateway: none answers at ${address}; start it with \`lloom-client gateway\`, or set ` +
        "LLOOM_GATEWAY_HOST and LLOOM_GATEWAY_PORT to where it is",
      { cause },
    );
  }
  if (status >= 200 && status < 300 && isJsonObject(answer)) return answer;
  throw failureOf(status, answer);
}

function failureOf(status: number, answer: unknown): Error {
  const error = isJsonObject(answer) && isJsonObject(answer.error) ? answer.error : {};
  const said = typeof error.message === "string" ? error.message : `HTTP status ${status}`;
  if (status === 404 && error.code === "not_found") return new UsageError(`ask gateway: ${said}`);
  if (status === 401) {
    return new LloomError(
      "config_invalid",
      "ask gateway: name one of its keys in LLOOM_GATEWAY_KEYS",
    );
  }
  const code = typeof error.code === "string" && isErrorCode(error.code)
    ? error.code
    : status < 500
    ? "request_invalid"
    : "backend_failed";
  return new LloomError(code, `ask gateway: ${said}`);
}

/** The settings' routing as the gateway reads it: its own settings may be others. */
function routingHeaders(config: ClientConfig, priority: Flags["priority"]): Record<string, string> {
  const { strategy, prefer = [], only, exclude, hedgeAfterMs, timeoutMs, ...prices } =
    routingOptions(config, priority);
  const named = strategy?.type === "specific" ? strategy.names : only;
  const headers = {
    "x-lloom-strategy": strategy?.type === "specific" ? undefined : strategy?.type,
    "x-lloom-executor": named?.join(","),
    "x-lloom-prefer": prefer.length > 0 ? prefer.join(",") : undefined,
    "x-lloom-ignore": exclude?.join(","),
    "x-lloom-max-inbound-price": prices.maxInboundPrice,
    "x-lloom-max-outbound-price": prices.maxOutboundPrice,
    "x-lloom-max-price": config.payments.maxPrice,
    "x-lloom-hedge-ms": hedgeAfterMs,
    "x-lloom-timeout-ms": timeoutMs,
  };
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, `${value}`]]
    ),
  );
}
