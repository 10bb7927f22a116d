/** OpenAI's Responses API. @module */
import { type JsonObject, readModelRequest } from "@lloom/core/protocol";
import type { StoredResponse } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import type { Answer, AnswerPiece, Engine } from "../answer.ts";
import { mustBe, unsupported } from "../body_fields.ts";
import { errorForm, errorResponse, HttpProblem } from "../error_forms.ts";
import { lloomField, seamComment } from "../lloom_field.ts";
import { readBody } from "../read_body.ts";
import {
  respondStreamed,
  type RespondTimes,
  respondWhole,
  sseEvent,
  type StreamEncoder,
  type WholeEncoder,
} from "../respond.ts";
import { newStamp, nowS } from "../stamp.ts";
import { readWishes } from "../wishes.ts";
import type { BackgroundResponses } from "./background.ts";
import { readCallbackUrl } from "./callback_url.ts";
import { emptyResponse, ResponseEvents } from "./response_events.ts";
import { messagesOf } from "./response_items.ts";
import { readResponseRequest, type ResponseRequest } from "./response_request.ts";
import {
  conversationOf,
  resolveReferences,
  responseOf,
  type ResponseStore,
} from "./response_store.ts";
import type { ResponseEvent, ResponseObject } from "./response_types.ts";

const log = getLogger(["lloom", "gateway"]);

/** What the routes lead to. */
export interface ResponsesComponents {
  /** Answers. */
  readonly engine: Engine;
  /** Keeps responses. */
  readonly store: ResponseStore;
  /** Makes those that nobody waits for. */
  readonly background: BackgroundResponses;
}

/** A request with all that it goes on from. */
interface Question {
  readonly request: ResponseRequest;
  /** What is new, without references. */
  readonly input: readonly JsonObject[];
  /** The chat request. */
  readonly chat: JsonObject;
}

/** `POST /v1/responses`, and what can be done with a stored response. */
export function responsesRoutes(components: ResponsesComponents, times: RespondTimes = {}): Hono {
  const { engine, store, background } = components;
  const routes = new Hono();
  routes.post("/v1/responses", async ({ req: { raw } }) => {
    const question = readQuestion(store, await readBody(raw));
    const { request, chat } = question;
    const { provider, promptCacheKey } = request.routing;
    const wishes = readWishes(raw.headers, provider, promptCacheKey);
    const callbackUrl = readCallbackUrl(raw.headers);
    if (request.echo.background) {
      return Response.json(accept(background, question, raw.headers, callbackUrl));
    }
    if (callbackUrl !== undefined) mustBe("background", "true with X-Lloom-Callback-Url");
    const ask = { api: "responses", request: chat, wishes, signal: raw.signal } as const;
    const encoder = (answer: Answer) => new ResponseEncoder(answer, question, store);
    return request.stream
      ? await respondStreamed(engine, ask, encoder, times)
      : await respondWhole(engine, ask, (answer) => encoder(answer).whole);
  });
  routes.get("/v1/responses/:id", ({ req }) => {
    if (req.query("stream") === "true") unsupported("a stored response is not streamed again");
    const stored = find(store, req.param("id"));
    const response = responseOf(stored);
    const isRunning = stored.job !== undefined && background.isRunning(stored.id);
    return Response.json(isRunning ? { ...response, status: "in_progress" } : response);
  });
  routes.post("/v1/responses/:id/cancel", async ({ req }) => {
    const { id, response } = find(store, req.param("id"));
    if (!JSON.parse(response).background) mustBe("the response", "one made in the background");
    return Response.json(await background.cancel(id) ?? missing());
  });
  routes.delete("/v1/responses/:id", async ({ req }) => {
    const { id } = find(store, req.param("id"));
    await background.cancel(id);
    store.delete(id);
    return Response.json({ id, object: "response", deleted: true });
  });
  routes.onError((error) => errorResponse(error, "openai"));
  return routes;
}

function readQuestion(store: ResponseStore, body: JsonObject): Question {
  const request = readResponseRequest(body);
  const { previous_response_id: previous, instructions } = request.echo;
  const input = resolveReferences(store, request.input);
  const items = previous === null ? input : [...conversationOf(store, previous), ...input];
  if (items.length === 0) mustBe("input", "a text or a list of items, not empty");
  return {
    request,
    input,
    chat: { ...request.chat, messages: messagesOf(instructions ?? "", items) },
  };
}

/** Accepts a response that nobody waits for. */
function accept(
  background: BackgroundResponses,
  { request, input, chat }: Question,
  headers: Headers,
  callbackUrl: string | undefined,
): ResponseObject {
  const { echo, stream, summarize, routing } = request;
  if (stream) unsupported("stream must be false with background: the response is asked for later");
  if (!echo.store) mustBe("store", "true with background");
  // What cannot be asked at all is refused while somebody listens.
  readModelRequest({ model: echo.model, ...chat });
  const { id, createdS } = newStamp();
  const response = emptyResponse(id, createdS, echo, "queued");
  const own = [...headers].filter(([name]) => name.startsWith("x-lloom-"));
  background.add(
    { ...storedOf(response, input), ...(callbackUrl !== undefined && { callbackUrl }) },
    { chat, headers: own, routing, summarize },
  );
  return response;
}

function storedOf(response: ResponseObject, input: readonly JsonObject[]): StoredResponse {
  const { id, created_at: createdS, previous_response_id: previousId } = response;
  return {
    ...{ id, createdS, response: JSON.stringify(response), input: JSON.stringify(input) },
    ...(previousId !== null && { previousId }),
  };
}

/** Says an answer in the API's events, and keeps what came of it if it is to be kept. */
class ResponseEncoder implements StreamEncoder {
  /** For an answer that comes as a whole. */
  readonly whole: WholeEncoder;
  readonly #events: ResponseEvents;
  readonly #input: readonly JsonObject[];
  readonly #store: ResponseStore;

  constructor(answer: Answer, { request, input }: Question, store: ResponseStore) {
    const echo = { ...request.echo, model: answer.model };
    const response = emptyResponse(answer.id, answer.createdS, echo, "in_progress");
    this.#events = new ResponseEvents(response, request.summarize);
    this.#input = input;
    this.#store = store;
    this.whole = {
      piece: (piece) => void this.#take(piece),
      result: () => this.#events.response,
    };
  }

  begin(): string {
    return encode(this.#events.begin());
  }

  piece(piece: AnswerPiece): string {
    return piece.type === "seam" ? seamComment(piece) : encode(this.#take(piece));
  }

  broken(error: unknown): string {
    const events = this.#events.fail(errorForm(error));
    this.#keep();
    return encode(events);
  }

  #take(piece: AnswerPiece): readonly ResponseEvent[] {
    if (piece.type === "lines") return piece.lines.flatMap(({ value }) => this.#events.line(value));
    if (piece.type === "seam") return [];
    const events = this.#events.end(piece.end, lloomField(piece.end), nowS());
    this.#keep();
    return events;
  }

  /** An answer that was paid for is given even if the disk is full; then it says that it is not kept. */
  #keep(): void {
    const { response } = this.#events;
    if (!response.store) return;
    try {
      this.#store.put(storedOf(response, this.#input), nowS());
    } catch (error) {
      response.store = false;
      log.error("keep response {id}: {error}", { id: response.id, error });
    }
  }
}

function encode(events: readonly ResponseEvent[]): string {
  return events.map((event) => sseEvent(event, event.type)).join("");
}

function find(store: ResponseStore, id: string): StoredResponse {
  return store.get(id) ?? missing();
}

function missing(): never {
  throw new HttpProblem("not_found", "no such response is kept here");
}
