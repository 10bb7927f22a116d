/** The gateway's HTTP: all routes behind one guard. @module */
import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import type { Engine } from "./answer.ts";
import { errorResponse, type ErrorStyle, HttpProblem } from "./error_forms.ts";
import type { Guard } from "./guard.ts";
import type { HealthReport } from "./health.ts";
import type { ModelCatalog } from "./model_catalog.ts";
import { openaiRoutes } from "./openai_routes.ts";

const log = getLogger(["lloom", "gateway"]);

/** What the routes lead to. */
export interface AppComponents {
  /** Answers. */
  readonly engine: Engine;
  /** Lists models. */
  readonly catalog: Pick<ModelCatalog, "list" | "find">;
  /** Tells how the gateway is. */
  readonly health: () => Promise<HealthReport>;
  /** The metrics as Prometheus reads them. */
  readonly metrics: () => Promise<string>;
  /** Who may use it. */
  readonly guard: Guard;
  /** Further APIs and the page, by whole paths. @default none */
  readonly mounts?: readonly Hono[];
}

/** The gateway's HTTP, without a server. */
export interface GatewayApp {
  /** Answers by the head of a request alone; undefined if the request is to be read and handled. */
  admit(request: Request): Response | undefined;
  /** Refuses a body for its length. */
  tooLarge(request: Request): Response;
  /** Answers a request that was admitted. */
  handle(request: Request): Promise<Response>;
}

const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

/** Puts the routes together. */
export function createApp(components: AppComponents): GatewayApp {
  const { engine, catalog, health, metrics, guard, mounts = [] } = components;
  const app = new Hono();
  app.onError((error, { req }) => errorResponse(error, styleOf(req.raw)));
  app.notFound(({ req }) => notFound(req.raw));
  app.route("/", openaiRoutes(engine));
  for (const mount of mounts) app.route("/", mount);
  app.get("/v1/models", async ({ req }) => Response.json(await catalog.list(req.raw.signal)));
  // Names of models have slashes.
  app.get(
    "/v1/models/:name{.+}",
    async ({ req }) => Response.json(await catalog.find(req.param("name"), req.raw.signal)),
  );
  app.get("/health", async () => {
    const report = await health();
    return Response.json(report, { status: report.status === "ok" ? 200 : 503 });
  });
  app.get("/metrics", async () =>
    new Response(await metrics(), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    }));

  const dressed = (request: Request, response: Response): Response => {
    const headers = { ...COMMON_HEADERS, ...guard.corsHeaders(request.headers) };
    for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
    return response;
  };
  const refused = (request: Request, error: unknown) =>
    dressed(request, errorResponse(error, styleOf(request)));
  return {
    admit(request) {
      try {
        const response = guard.admit(request);
        return response && dressed(request, response);
      } catch (error) {
        log.info("refused a request: {code}", { code: error instanceof HttpProblem && error.code });
        return refused(request, error);
      }
    },
    tooLarge: (request) =>
      refused(request, new HttpProblem("body_too_large", "the request is longer than is allowed")),
    handle: async (request) => dressed(request, await app.fetch(request)),
  };
}

/** Whose errors a client understands: both look for models at the same path. */
function styleOf({ url, headers }: Request): ErrorStyle {
  const isAnthropic = headers.has("anthropic-version") ||
    new URL(url).pathname.startsWith("/v1/messages");
  return isAnthropic ? "anthropic" : "openai";
}

/** Paths that take one method only. */
const POST_PATHS: ReadonlySet<string> = new Set([
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/embeddings",
  "/v1/responses",
  "/v1/messages",
  "/v1/messages/count_tokens",
]);

function notFound(request: Request): Response {
  const { pathname } = new URL(request.url);
  const problem = POST_PATHS.has(pathname)
    ? new HttpProblem("method_not_allowed", "this path takes POST", { allow: "POST" })
    : new HttpProblem("not_found", "there is nothing at this path");
  return errorResponse(problem, styleOf(request));
}
