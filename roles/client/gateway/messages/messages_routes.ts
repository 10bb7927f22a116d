/** Anthropic's Messages API. @module */
import { Hono } from "hono";
import type { Answer, AnswerPiece, Engine } from "../answer.ts";
import { errorResponse } from "../error_forms.ts";
import { lloomField, seamComment } from "../lloom_field.ts";
import { readBody } from "../read_body.ts";
import {
  respondStreamed,
  type RespondTimes,
  respondWhole,
  sseError,
  sseEvent,
  type StreamEncoder,
  type WholeEncoder,
} from "../respond.ts";
import { estimatePromptTokens } from "../token_estimate.ts";
import { readWishes } from "../wishes.ts";
import { MessageEvents } from "./message_events.ts";
import { type MessageRequest, readMessageRequest } from "./message_request.ts";
import type { MessageEvent } from "./message_types.ts";
import { WholeMessage } from "./whole_message.ts";

const PING = sseEvent({ type: "ping" }, "ping");

/**
 * `POST /v1/messages` and `POST /v1/messages/count_tokens`. The header `anthropic-version` is not
 * looked at: there is one form of the API since 2023.
 */
export function messagesRoutes(engine: Engine, times: RespondTimes = {}): Hono {
  const routes = new Hono();
  routes.post("/v1/messages", async ({ req: { raw } }) => {
    const request = readMessageRequest(await readBody(raw));
    const ask = {
      api: "messages",
      request: request.chat,
      wishes: readWishes(raw.headers, request.provider),
      signal: raw.signal,
    } as const;
    return request.stream
      ? await respondStreamed(engine, ask, (answer) => streamEncoder(answer, request), times)
      : await respondWhole(engine, ask, (answer) => wholeEncoder(answer, request));
  });
  routes.post("/v1/messages/count_tokens", async ({ req: { raw } }) => {
    const { chat } = readMessageRequest(await readBody(raw), true);
    // Which tokens there are depends on who will answer.
    return Response.json({ input_tokens: estimatePromptTokens(chat), lloom: { estimated: true } });
  });
  routes.onError((error) => errorResponse(error, "anthropic"));
  return routes;
}

function eventsOf({ id, model }: Answer, { chat, stops }: MessageRequest): MessageEvents {
  return new MessageEvents({ id, model, stops, estimatedTokens: estimatePromptTokens(chat) });
}

/** The events of a piece. A seam has none: the message goes on. */
function* eventsFor(piece: AnswerPiece, events: MessageEvents): Generator<MessageEvent> {
  if (piece.type === "lines") {
    for (const { value } of piece.lines) yield* events.line(value);
  } else if (piece.type === "end") yield* events.end(piece.end, lloomField(piece.end));
}

function streamEncoder(answer: Answer, request: MessageRequest): StreamEncoder {
  const events = eventsOf(answer, request);
  return {
    keepAlive: PING,
    begin: () => encode(events.start()) + PING,
    piece(piece) {
      if (piece.type === "seam") return seamComment(piece);
      let text = "";
      for (const event of eventsFor(piece, events)) text += encode(event);
      return text;
    },
    broken: (error) => sseError(error, "anthropic"),
  };
}

function encode(event: MessageEvent): string {
  return sseEvent(event, event.type);
}

function wholeEncoder(answer: Answer, request: MessageRequest): WholeEncoder {
  const events = eventsOf(answer, request);
  const whole = new WholeMessage();
  whole.take(events.start());
  return {
    piece(piece) {
      for (const event of eventsFor(piece, events)) whole.take(event);
    },
    result: () => whole.result(),
  };
}
