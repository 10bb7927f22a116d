/** What clients are told when something goes wrong: one table, and each API's own form. @module */
import { type ErrorCode, LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["lloom", "gateway"]);

/** What can be wrong with a request as HTTP, before anything is asked. */
export type HttpProblemCode =
  | "key_invalid" // no key, or another one
  | "host_refused" // not a name of this gateway: DNS rebinding
  | "origin_refused" // a web page from elsewhere
  | "not_found"
  | "method_not_allowed"
  | "media_type_unsupported"
  | "body_too_large";

/** A request that is refused for what it is as HTTP. */
export class HttpProblem extends Error {
  /** The name of the class. */
  override readonly name = "HttpProblem";
  /** Why. */
  readonly code: HttpProblemCode;
  /** Headers that go with it. */
  readonly headers: Readonly<Record<string, string>>;

  /** A refusal. @param message a sentence for whoever wrote the client */
  constructor(
    code: HttpProblemCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.code = code;
    this.headers = headers;
  }
}

/** Whose errors a client understands. */
export type ErrorStyle = "openai" | "anthropic";

/** One failure, in all forms. */
export interface ErrorForm {
  /** Of HTTP. */
  readonly status: number;
  /** Lloom's. */
  readonly code: ErrorCode | HttpProblemCode;
  /** For people. */
  readonly message: string;
  /** OpenAI's word for its kind. */
  readonly openaiType: string;
  /** OpenAI's code where it has one, else Lloom's. */
  readonly openaiCode: string;
  /** Anthropic's word for its kind. */
  readonly anthropicType: string;
  /** When to try again, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Further headers. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Kinds of failure: status, OpenAI's type, Anthropic's type. */
const KINDS = {
  invalid: [400, "invalid_request_error", "invalid_request_error"],
  unauthorized: [401, "authentication_error", "authentication_error"],
  unpaid: [402, "insufficient_quota", "billing_error"],
  forbidden: [403, "permission_error", "permission_error"],
  missing: [404, "invalid_request_error", "not_found_error"],
  method: [405, "invalid_request_error", "invalid_request_error"],
  large: [413, "invalid_request_error", "request_too_large"],
  media: [415, "invalid_request_error", "invalid_request_error"],
  busy: [429, "rate_limit_error", "rate_limit_error"],
  gone: [499, "server_error", "api_error"],
  broken: [500, "server_error", "api_error"],
  upstream: [502, "server_error", "api_error"],
  unavailable: [503, "server_error", "overloaded_error"],
  late: [504, "server_error", "timeout_error"],
} as const;

type Kind = keyof typeof KINDS;

/** Every code's kind, with OpenAI's own code where it has one. */
const FORMS: Readonly<Record<ErrorCode | HttpProblemCode, Kind | readonly [Kind, string]>> = {
  aborted: "gone",
  timeout: "late",
  config_invalid: "broken",
  in_use: "broken",
  identity_invalid: "broken",
  frame_too_large: "large",
  frame_malformed: "invalid",
  frame_unsupported: "upstream",
  protocol_violation: "upstream",
  signature_invalid: "upstream",
  signer_mismatch: "upstream",
  request_invalid: "invalid",
  request_expired: "late",
  request_premature: "upstream",
  request_replayed: "upstream",
  model_unavailable: ["missing", "model_not_found"],
  feature_unsupported: "invalid",
  context_length_exceeded: ["invalid", "context_length_exceeded"],
  price_too_low: "unpaid",
  payment_required: "unpaid",
  voucher_invalid: "unpaid",
  channel_unusable: "unpaid",
  overloaded: ["busy", "rate_limit_exceeded"],
  rate_limited: ["busy", "rate_limit_exceeded"],
  shutting_down: "unavailable",
  backend_unreachable: "upstream",
  backend_unauthorized: "upstream",
  // The model's server says that this request cannot succeed: to try again would cost, and fail again.
  backend_rejected: "invalid",
  backend_failed: "upstream",
  backend_malformed: "upstream",
  backend_truncated: "upstream",
  backend_timeout: "late",
  no_executor: "unavailable",
  // Nobody of the network is reached, or nobody of those asked: later it may go.
  peer_unreachable: "unavailable",
  stream_broken: "upstream",
  receipt_invalid: "upstream",
  announcement_stale: "upstream",
  overcharged: "upstream",
  budget_exceeded: ["unpaid", "insufficient_quota"],
  insufficient_funds: ["unpaid", "insufficient_quota"],
  chain_unavailable: "unavailable",
  chain_mismatch: "unavailable",
  transaction_failed: "unavailable",
  worker_crashed: "upstream",
  internal: "broken",
  key_invalid: ["unauthorized", "invalid_api_key"],
  host_refused: "forbidden",
  origin_refused: "forbidden",
  not_found: "missing",
  method_not_allowed: "method",
  media_type_unsupported: "media",
  body_too_large: "large",
};

/** Anything thrown, as what a client is told. What nobody foresaw is logged, and told without details. */
export function errorForm(thrown: unknown): ErrorForm {
  const error = thrown instanceof HttpProblem ? thrown : LloomError.wrap(thrown);
  const { code } = error;
  if (code === "internal") log.error("answer request: {error}", { error: thrown });
  const form = FORMS[code];
  const [kind, openaiCode] = typeof form === "string" ? [form, code] : form;
  const [status, openaiType, anthropicType] = KINDS[kind];
  return {
    ...{ status, code, openaiType, openaiCode, anthropicType },
    message: code === "internal" ? "the gateway failed; its log says how" : error.message,
    retryAfterMs: error instanceof LloomError ? error.retryAfterMs : undefined,
    headers: error instanceof HttpProblem ? error.headers : {},
  };
}

/** The body of an error in an API's form. */
export function errorBody(form: ErrorForm, style: ErrorStyle): JsonObject {
  const { message, code, openaiType, openaiCode, anthropicType } = form;
  const lloom = { code };
  return style === "openai"
    ? { error: { message, type: openaiType, param: null, code: openaiCode, lloom } }
    : { type: "error", error: { type: anthropicType, message, lloom } };
}

/** An error as a response, in an API's form. */
export function errorResponse(thrown: unknown, style: ErrorStyle): Response {
  const form = errorForm(thrown);
  const { status, retryAfterMs, headers } = form;
  return Response.json(errorBody(form, style), {
    // 499 is nobody's to read: the client is gone.
    status,
    headers: {
      ...headers,
      ...(retryAfterMs !== undefined && {
        "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))),
      }),
    },
  });
}
