/** What the mock model server can be told to do, and what it tells. @module */
import type { MockToolCall } from "./mock_llm_answers.ts";
import type { MockDialect } from "./mock_llm_dialects.ts";

/** How to fail: an HTTP error, a broken answer, or a silence. */
export type MockFailure =
  | {
    readonly kind: "status";
    readonly status: number;
    readonly body?: unknown;
    readonly retryAfter?: string;
  }
  /** HTTP 200 and something that is no answer. */
  | { readonly kind: "garbage" }
  /** The connection ends, without an end mark, after so many tokens. */
  | { readonly kind: "truncate"; readonly afterTokens: number }
  /** An error object in the stream after so many tokens. */
  | { readonly kind: "error"; readonly afterTokens: number; readonly message?: string }
  /** The stream stays open and silent after so many tokens; `headers`: not even the head is sent. */
  | { readonly kind: "hang"; readonly afterTokens: number | "headers" }
  /** A redirect to another place. */
  | { readonly kind: "redirect"; readonly location: string };

/** What the mock does. All may be changed while it runs ({@linkcode MockLlmServer.options}). */
export interface MockLlmOptions {
  /** @default "openai" */
  dialect?: MockDialect;
  /** @default 0, any free port */
  port?: number;
  /** Names of the chat models. @default ["mock-model"] */
  models?: readonly string[];
  /** Names of the models that make vectors, and do nothing else. @default none */
  embeddingModels?: readonly string[];
  /** Tokens of an answer, if the request allows as many. @default 16 */
  tokens?: number;
  /** Milliseconds before each token. @default 0 */
  delayMs?: number;
  /** Milliseconds before the first token, besides. @default 0 */
  firstTokenMs?: number;
  /** Holds every answer back until it resolves. @default none */
  gate?: Promise<void>;
  /** Letters of every token, besides the word that it is. @default 0 */
  tokenPadding?: number;
  /** All tokens in one write, where there is no delay. @default false */
  coalesce?: boolean;
  /** Whether it honours the request's limit on tokens. @default true */
  honoursLimit?: boolean;
  /** Whether it tells the usage at the end, if asked to. @default true */
  usage?: boolean;
  /** Answers with one JSON document, whatever `stream` says. @default false */
  ignoresStream?: boolean;
  /** Puts so many tokens of `reasoning_content` first. @default 0 */
  reasoningTokens?: number;
  /** What the answer says, four letters to a token, instead of counting. */
  text?: string;
  /** Answers every request with these bytes, such as a recorded answer of `tests/fixtures/backends/`. */
  replay?: Uint8Array<ArrayBuffer>;
  /** Calls these tools instead of writing text. */
  toolCall?: MockToolCall | readonly MockToolCall[];
  /** A comment before every so many tokens. @default 0, none */
  keepAliveEvery?: number;
  /** Fails every request to a model, or decides for each, by its number from 0. */
  failure?: MockFailure | ((request: number) => MockFailure | undefined);
  /** Refuses requests without this key. */
  apiKey?: string;
}

/** One request to a model, as the mock saw it. Times are unix milliseconds. */
export interface MockRequest {
  readonly path: string;
  readonly authorization: string | null;
  readonly body: Readonly<Record<string, unknown>>;
  readonly receivedAt: number;
  /** Tokens written so far. */
  sent: number;
  finishedAt?: number;
  /** When the client hung up before the end. */
  abortedAt?: number;
}

/** A running mock. */
export interface MockLlmServer {
  /** Without a final slash. */
  readonly url: string;
  readonly port: number;
  readonly options: MockLlmOptions;
  /** Requests to models, in order. */
  readonly requests: readonly MockRequest[];
  /** Requests of any kind, as `METHOD path`. */
  readonly paths: readonly string[];
  /** Resolves when the next client hangs up early. */
  nextAbort(): Promise<MockRequest>;
  /** Resolves when the next request to a model arrives. */
  nextRequest(): Promise<MockRequest>;
  stop(): Promise<void>;
}
