/** Answers as HTTP responses, streamed or whole, for all APIs. @module */
import type { JsonObject } from "@lloom/core/protocol";
import { getLogger } from "@logtape/logtape";
import type { Answer, Answering, AnswerPiece, Ask, Engine } from "./answer.ts";
import { errorBody, errorForm, type ErrorStyle } from "./error_forms.ts";
import { HEAD_WAIT_MS, KEEP_ALIVE_MS } from "./limits.ts";

const log = getLogger(["lloom", "gateway"]);

/** Turns pieces into the text of server-sent events. */
export interface StreamEncoder {
  /** What comes before the first piece. @default nothing */
  begin?(): string;
  /** What a piece adds; empty if nothing. */
  piece(piece: AnswerPiece): string;
  /** How a broken answer ends. @param error the thrown value */
  broken(error: unknown): string;
  /** A sign of life. @default an SSE comment */
  readonly keepAlive?: string;
}

/** Gathers pieces into one object. */
export interface WholeEncoder {
  /** Takes a piece in. */
  piece(piece: AnswerPiece): void;
  /** The object, after the last piece. */
  result(): JsonObject;
}

/** Times that tests shorten. */
export interface RespondTimes {
  /** How long the head waits for somebody to answer. @default {@linkcode HEAD_WAIT_MS} */
  readonly headWaitMs?: number;
  /** Between signs of life. @default {@linkcode KEEP_ALIVE_MS} */
  readonly keepAliveMs?: number;
}

const KEEP_ALIVE = ": keep-alive\n\n";
const utf8 = new TextEncoder();

/**
 * Asks, and streams the answer as server-sent events. Its head waits until somebody answers, so that
 * an early failure has its own status; where that takes long it is sent before, and a failure becomes
 * an event. A client that goes away, or leaves the stream, cancels the request.
 * @throws whatever fails before the head is sent
 */
export async function respondStreamed(
  engine: Engine,
  ask: Ask,
  encoderFor: (answer: Answer) => StreamEncoder,
  times: RespondTimes = {},
): Promise<Response> {
  const { headWaitMs = HEAD_WAIT_MS, keepAliveMs = KEEP_ALIVE_MS } = times;
  const leaving = new AbortController();
  const signal = AbortSignal.any([ask.signal, leaving.signal]);
  const answer = await engine.ask({ ...ask, signal });
  const answering = await within(answer.answering, headWaitMs);
  const body = eventStream(answer.pieces(), encoderFor(answer), {
    keepAliveMs,
    leave: () => leaving.abort(),
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      // Proxies must hand on events as they come.
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
      ...answerHeaders(answer, answering),
    },
  });
}

/** Asks, and answers with one object once all is there and proven. @throws whatever fails */
export async function respondWhole(
  engine: Engine,
  ask: Ask,
  encoderFor: (answer: Answer) => WholeEncoder,
): Promise<Response> {
  const answer = await engine.ask(ask);
  const encoder = encoderFor(answer);
  for await (const piece of answer.pieces()) encoder.piece(piece);
  return Response.json(encoder.result(), {
    headers: answerHeaders(answer, await answer.answering),
  });
}

/** Headers that tell about an answer. @param answering absent while nobody answers yet */
function answerHeaders(
  { id }: Answer,
  answering: Answering | undefined,
): Readonly<Record<string, string>> {
  return {
    "x-lloom-request-id": id,
    ...(answering && {
      "x-lloom-executor": answering.peerId,
      "x-lloom-cache": answering.cached ? "hit" : "miss",
    }),
  };
}

/** One server-sent event. @param name absent for an unnamed one, as OpenAI's chat API has them */
export function sseEvent(data: JsonObject, name?: string): string {
  const head = name === undefined ? "" : `event: ${name}\n`;
  return `${head}data: ${JSON.stringify(data)}\n\n`;
}

/** An error as the last event of a stream, in an API's form. */
export function sseError(thrown: unknown, style: ErrorStyle): string {
  const body = errorBody(errorForm(thrown), style);
  return style === "openai" ? sseEvent(body) : sseEvent(body, "error");
}

/** What a promise resolves with; undefined if that takes too long. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => timer = setTimeout(resolve, ms, undefined));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Reads a piece whenever the client has taken what was there, and writes each in one chunk. */
function eventStream(
  pieces: AsyncGenerator<AnswerPiece, void>,
  encoder: StreamEncoder,
  { keepAliveMs, leave }: { readonly keepAliveMs: number; readonly leave: () => void },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let timer: ReturnType<typeof setInterval> | undefined;
  let isQuiet = true;
  const keepAlive = utf8.encode(encoder.keepAlive ?? KEEP_ALIVE);
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      const beginning = encoder.begin?.() ?? "";
      if (beginning !== "") controller.enqueue(utf8.encode(beginning));
      // One timer for all pieces: to set one for each would cost more than to send it.
      timer = setInterval(() => {
        // A client that does not read needs no sign of life.
        if (isQuiet && (controller.desiredSize ?? 0) >= 0) controller.enqueue(keepAlive);
        isQuiet = true;
      }, keepAliveMs);
    },
    async pull(controller) {
      try {
        for (;;) {
          const { done, value } = await pieces.next();
          if (done) break;
          const text = encoder.piece(value);
          if (text === "") continue;
          isQuiet = false;
          controller.enqueue(utf8.encode(text));
          return;
        }
      } catch (error) {
        // Where the encoder failed, the answer still comes.
        leave();
        // After a cancel there is nobody to tell.
        if (timer !== undefined) controller.enqueue(utf8.encode(encoder.broken(error)));
      }
      if (timer === undefined) return;
      clearInterval(timer);
      controller.close();
    },
    cancel() {
      clearInterval(timer);
      timer = undefined;
      leave();
      // It waits for the piece under way, which the signal ends.
      pieces.return().catch((error: unknown) => log.debug("leave answer: {error}", { error }));
    },
  }, { highWaterMark: 0 });
}
