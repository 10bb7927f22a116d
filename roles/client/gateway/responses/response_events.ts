/** From an answer to the events of OpenAI's Responses API. @module */
import type { JsonObject } from "@lloom/core/protocol";
import type { AnswerEnd } from "../answer.ts";
import { AnswerBlocks, type BlockEvent } from "../answer_blocks.ts";
import type { ErrorForm } from "../error_forms.ts";
import { type ItemBlock, itemBlock, responseIdOf } from "./item_blocks.ts";
import type {
  ItemStatus,
  ResponseEcho,
  ResponseError,
  ResponseEvent,
  ResponseObject,
  ResponseStatus,
  ResponseStep,
} from "./response_types.ts";

/** A response of which nothing is there yet. @param hex 32 hexadecimal digits */
export function emptyResponse(
  hex: string,
  createdS: number,
  echo: ResponseEcho,
  status: ResponseStatus,
): ResponseObject {
  return {
    ...{ id: responseIdOf(hex), object: "response", created_at: createdS, completed_at: null },
    ...{ status, error: null, incomplete_details: null, access_programs: null },
    ...echo,
    ...{ output: [], usage: null },
  };
}

/** Says each thing that happens to an answer in OpenAI's words, and keeps what came of it. */
export class ResponseEvents {
  readonly #hex: string;
  readonly #summarize: boolean;
  readonly #blocks: AnswerBlocks;
  #response: ResponseObject;
  #item: ItemBlock | undefined;
  #sequence = 0;
  #begun = false;

  /**
   * Events of one answer.
   * @param response as {@linkcode emptyResponse} makes it
   * @param summarize whether the client asked for summaries of thoughts
   */
  constructor(response: ResponseObject, summarize: boolean) {
    const hex = response.id.slice(responseIdOf("").length);
    let calls = 0;
    this.#hex = hex;
    this.#summarize = summarize;
    this.#blocks = new AnswerBlocks(() => `call_${hex}_${calls++}`);
    this.#response = { ...response, status: "in_progress" };
  }

  /** The response as it is now; not changed later. */
  get response(): ResponseObject {
    return this.#response;
  }

  /** Whether any line has come. */
  get begun(): boolean {
    return this.#begun;
  }

  /** The first events. */
  begin(): readonly ResponseEvent[] {
    const response = this.#response;
    return this.#number([
      { type: "response.created", response },
      { type: "response.in_progress", response },
    ]);
  }

  /** What a line adds. @throws {LloomError} `backend_malformed` */
  line(line: JsonObject): readonly ResponseEvent[] {
    this.#begun = true;
    const steps = [...this.#blocks.take(line)].flatMap((event) => this.#take(event, "completed"));
    return this.#number(steps);
  }

  /** What a whole answer ends with. @param lloom who answered, and at which cost */
  end(end: AnswerEnd, lloom: JsonObject, nowS: number): readonly ResponseEvent[] {
    const reason = end.finish === "length"
      ? "max_output_tokens"
      : end.finish === "content_filter"
      ? "content_filter"
      : undefined;
    const status = reason === undefined ? "completed" : "incomplete";
    const steps = [...this.#blocks.finish()].flatMap((event) => this.#take(event, status));
    const { promptTokens, completionTokens } = end;
    const response: ResponseObject = {
      ...this.#response,
      status,
      completed_at: reason === undefined ? nowS : null,
      incomplete_details: reason === undefined ? null : { reason },
      usage: {
        input_tokens: promptTokens,
        input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        output_tokens: completionTokens,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: promptTokens + completionTokens,
      },
      lloom,
    };
    this.#response = response;
    return this.#number([...steps, { type: `response.${status}`, response }]);
  }

  /**
   * What a broken answer ends with: an event that the official client throws, and the response with
   * what came of it.
   */
  fail(form: ErrorForm): readonly ResponseEvent[] {
    for (const event of this.#blocks.finish()) this.#take(event, "incomplete");
    const error: ResponseError = { code: codeOf(form), message: form.message };
    const lloom = { code: form.code };
    const response: ResponseObject = { ...this.#response, status: "failed", error, lloom };
    this.#response = response;
    return this.#number([
      { type: "error", code: form.openaiCode, message: form.message, param: null },
      { type: "response.failed", response },
    ]);
  }

  #take(event: BlockEvent, status: ItemStatus): readonly ResponseStep[] {
    const output_index = this.#response.output.length;
    if (event.type === "open") {
      const place = { responseHex: this.#hex, index: output_index, summarize: this.#summarize };
      const item = this.#item = itemBlock(event.block, place);
      const added = { type: "response.output_item.added", output_index, item: item.empty } as const;
      return [added, ...item.begin()];
    }
    if (this.#item === undefined) throw new TypeError("a block without a beginning");
    if (event.type === "add") return this.#item.add(event.text, event.logprobs);
    const item = this.#item.whole(event.text, status);
    this.#response = { ...this.#response, output: [...this.#response.output, item] };
    return [
      ...this.#item.end(event.text),
      { type: "response.output_item.done", output_index, item },
    ];
  }

  #number(steps: readonly ResponseStep[]): ResponseEvent[] {
    return steps.map((step) => ({ ...step, sequence_number: this.#sequence++ }));
  }
}

function codeOf({ status }: ErrorForm): ResponseError["code"] {
  if (status === 429) return "rate_limit_exceeded";
  return status === 400 || status === 413 ? "invalid_prompt" : "server_error";
}
