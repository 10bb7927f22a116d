/** A gateway of which only the page is real: its answers are what a test says. @module */
import { serveHttp } from "@lloom/host/http";
import { Hono } from "hono";
import { pageRoutes } from "../../roles/client/gateway/page/page_routes.ts";

/** The key that it takes where it asks for one. */
export const KEY = "a key";

/** The executors that it says it has. */
export const PEERS = [
  "16Uiu2HAmQ7vXbQ4qTzK8c1y6e5sY3fQqHn9tW2pLxRzVbNcMdEfG",
  "16Uiu2HAmW1sYdJ5cVx9KbT3mRnPzL8hGqFe7uA2oXkNjCvBtSyHw",
] as const;

const MODEL = {
  id: "llama3.2:3b",
  pricing: { prompt: "0.00000015", completion: "0.0000006", currency: "USDC" },
  context_length: 8192,
  features: ["chat"],
  executors: { total: 2, available: 2 },
};

/** The end of a whole answer, with what it took. */
export const END: string = event({
  choices: [],
  usage: { prompt_tokens: 12, completion_tokens: 34 },
  lloom: { executor: PEERS[0], cost: "0.0000222", asset: "USDC", cached: false },
}) + "data: [DONE]\n\n";

/** A request that the page made. */
export interface PageRequest {
  readonly body: {
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly [field: string]: unknown;
  };
  readonly headers: Headers;
  /** Aborts when the page hangs up. */
  readonly signal: AbortSignal;
}

/** Answers a request. */
export type Script = (request: PageRequest) => Response | Promise<Response>;

/** The gateway. */
export class ScriptedGateway implements AsyncDisposable {
  /** Where its page is. */
  readonly url: string;
  /** All requests for answers. */
  readonly requests: readonly PageRequest[];
  readonly #stop: () => Promise<void>;

  private constructor(port: number, stop: () => Promise<void>, requests: readonly PageRequest[]) {
    this.url = `http://127.0.0.1:${port}/`;
    this.#stop = stop;
    this.requests = requests;
  }

  /** Starts one. @param needsKey whether it wants {@linkcode KEY} */
  static async open(script: Script, needsKey = false): Promise<ScriptedGateway> {
    const requests: PageRequest[] = [];
    const app = new Hono();
    app.use("/v1/*", async ({ req }, next) => {
      if (!needsKey || req.header("authorization") === `Bearer ${KEY}`) return await next();
      return refusal(401, "read key: not known", "invalid_api_key");
    });
    app.get("/v1/models", ({ json }) => json({ object: "list", data: [MODEL] }));
    app.post("/v1/chat/completions", async ({ req }) => {
      const { headers, signal } = req.raw;
      const request = { body: await req.json(), headers, signal };
      requests.push(request);
      return await script(request);
    });
    app.route("/", pageRoutes());
    const { port, stop } = await serveHttp(
      { host: "127.0.0.1", port: 0, maxConnections: 50, maxBodyBytes: 1 << 20 },
      (request) => app.fetch(request),
    );
    return new ScriptedGateway(port, stop, requests);
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}

/** A refusal in OpenAI's form. */
export function refusal(status: number, message: string, code: string): Response {
  return Response.json({ error: { message, code, type: "error", param: null } }, { status });
}

/** A server-sent event. */
export function event(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** Words of an answer. */
export function words(content: string): string {
  return event({ choices: [{ index: 0, delta: { content } }] });
}

/** A stream of these parts; it waits for those that are promises. */
export function streamed(...parts: readonly (string | Promise<string>)[]): Response {
  const encoder = new TextEncoder();
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (const part of parts) yield encoder.encode(await part);
  }
  return new Response(ReadableStream.from(bytes()), {
    headers: { "content-type": "text/event-stream", "x-lloom-executor": PEERS[0] },
  });
}
