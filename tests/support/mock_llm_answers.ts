/**
 * What the mock answers: texts and vectors that a test can reckon, in the forms that each model server
 * documents.
 * @module
 */
import type { MockDialect } from "./mock_llm_dialects.ts";

/** A function that the mock calls. */
export interface MockToolCall {
  readonly name: string;
  /** As the model writes them: JSON. */
  readonly arguments: string;
}

/** What shapes every text. */
export interface MockAnswerOptions {
  readonly dialect?: MockDialect;
  readonly reasoningTokens?: number;
  readonly tokenPadding?: number;
  readonly toolCall?: MockToolCall | readonly MockToolCall[];
  readonly text?: string;
}

/** One text to be written. */
export interface MockAnswer {
  readonly kind: "chat" | "completion";
  readonly model: unknown;
  /** The first token: those before it are in the request already. */
  readonly from: number;
  /** How many tokens each answer has. */
  readonly count: number;
  /** Whether it would have had more. */
  readonly limited: boolean;
  readonly answers: number;
  readonly logprobs: boolean;
}

const encoder = new TextEncoder();
/** What the tokens say. Each begins with a space, so that every token is one token of `o200k_base` too. */
const WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
/** Letters of one token, where a test says what the answer is. */
const TOKEN_LETTERS = 4;

const tokenText = (i: number, padding: number): string =>
  ` ${WORDS[i % WORDS.length]}${"x".repeat(padding)}`;

/** The text of `count` tokens of an answer. @param from the first of them */
export function mockText(count: number, padding = 0, from = 0): string {
  return Array.from({ length: count }, (_, i) => tokenText(from + i, padding)).join("");
}

/** The words of a text: tokens, as the mock counts them. */
export function mockPromptTokens(prompt: unknown): number {
  return (JSON.stringify(prompt).match(/[\p{L}\p{N}]+/gu) ?? []).length;
}

/** The vector that stands for an input: the same for the same input, of length one. */
export function mockVector(input: unknown, dimensions = 8): number[] {
  const seed = [...JSON.stringify(input)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);
  const raw = Array.from({ length: dimensions }, (_, i) => Math.sin(seed % 1000 + i));
  const length = Math.hypot(...raw);
  return raw.map((value) => Math.fround(value / length));
}

/** How many tokens an answer would have in all, if nothing bounded it. */
export function mockLength({ text, toolCall }: MockAnswerOptions, tokens: number): number {
  if (toolCall !== undefined) return toolsOf(toolCall).length;
  return text === undefined ? tokens : pieces(text).length;
}

/**
 * How many tokens of an answer a request has begun itself, for the servers that go on with its last
 * message.
 */
export function mockBegun(
  { dialect, text }: MockAnswerOptions,
  { messages, continue_final_message: continues }: Readonly<Record<string, unknown>>,
): number {
  const last = Array.isArray(messages) ? messages.at(-1) : undefined;
  const goesOn = dialect === "vllm" ? continues === true : dialect === "llamacpp";
  if (!goesOn || last?.role !== "assistant") return 0;
  return text === undefined ? mockPromptTokens(last.content) : pieces(last.content).length;
}

/** One event of a stream. */
export const sse = (value: unknown): Uint8Array<ArrayBuffer> =>
  encoder.encode(`data: ${JSON.stringify(value)}\n\n`);

/** The chunks of one answer, encoded once and used for every request of the same shape. */
export interface Script {
  readonly opening: readonly Uint8Array<ArrayBuffer>[];
  readonly tokens: readonly Uint8Array<ArrayBuffer>[];
  readonly finish: Uint8Array<ArrayBuffer>;
  readonly done: Uint8Array<ArrayBuffer>;
}

const pieces = (text: string): string[] =>
  text.match(new RegExp(`.{1,${TOKEN_LETTERS}}`, "gs")) ?? [];
const toolsOf = (calls: MockToolCall | readonly MockToolCall[]): readonly MockToolCall[] =>
  "name" in calls ? [calls] : calls;

/** One chunk of a stream. */
export function chunk(
  kind: MockAnswer["kind"],
  model: unknown,
  choices: readonly object[],
): object {
  return {
    id: kind === "chat" ? "chatcmpl-mock" : "cmpl-mock",
    object: kind === "chat" ? "chat.completion.chunk" : "text_completion",
    created: 1_700_000_000,
    model,
    choices,
  };
}

const finishOf = ({ toolCall }: MockAnswerOptions, { limited }: MockAnswer): string =>
  toolCall !== undefined ? "tool_calls" : limited ? "length" : "stop";

function textOf(options: MockAnswerOptions, { from, count }: MockAnswer): string[] {
  const { text, tokenPadding = 0 } = options;
  if (text !== undefined) return pieces(text).slice(from, from + count);
  return Array.from({ length: count }, (_, i) => tokenText(from + i, tokenPadding));
}

/** The deltas of an answer, one for each token. */
function deltasOf(options: MockAnswerOptions, answer: MockAnswer): object[] {
  const { dialect, reasoningTokens = 0, toolCall } = options;
  if (toolCall === undefined) {
    return textOf(options, answer).map((text, i) =>
      i < reasoningTokens ? { reasoning_content: text } : { content: text }
    );
  }
  return toolsOf(toolCall).flatMap(({ name, arguments: said }, index) => {
    const head = { index, id: `call_${index + 1}`, type: "function" };
    // Ollama writes every call at once.
    if (dialect === "ollama") {
      return [{ content: "", tool_calls: [{ ...head, function: { name, arguments: said } }] }];
    }
    return [
      { tool_calls: [{ ...head, function: { name, arguments: "" } }] },
      ...pieces(said).map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] })),
    ];
  });
}

const logprobsOf = (token: string): object => ({
  content: [{ token, logprob: -0.25, bytes: [...encoder.encode(token)], top_logprobs: [] }],
});

/** Writes an answer as a stream. */
export function writeScript(options: MockAnswerOptions, answer: MockAnswer): Script {
  const { dialect = "openai" } = options;
  const { kind, model, answers } = answer;
  const every = (choice: object): Uint8Array<ArrayBuffer> =>
    encoder.encode(
      Array.from({ length: answers }, (_, index) =>
        `data: ${JSON.stringify(chunk(kind, model, [{ index, ...choice }]))}\n\n`).join(""),
    );
  const done = encoder.encode("data: [DONE]\n\n");
  const finish_reason = finishOf(options, answer);
  if (kind === "completion") {
    const extra = { logprobs: null };
    return {
      opening: [],
      tokens: textOf(options, answer).map((text) => every({ text, ...extra, finish_reason: null })),
      finish: every({ text: "", ...extra, finish_reason }),
      done,
    };
  }
  const role = { role: "assistant" };
  // Ollama repeats the role in every chunk instead of opening with it.
  const repeated = dialect === "ollama" ? role : {};
  const opening = { ...role, content: dialect === "llamacpp" ? null : "" };
  const plain = dialect === "vllm" || dialect === "openai" ? { logprobs: null } : {};
  return {
    opening: dialect === "ollama" ? [] : [every({ delta: opening, finish_reason: null })],
    tokens: deltasOf(options, answer).map((delta) => {
      const text = "content" in delta ? String(delta.content) : "";
      const extra = answer.logprobs ? { logprobs: logprobsOf(text) } : plain;
      return every({ delta: { ...repeated, ...delta }, finish_reason: null, ...extra });
    }),
    finish: every({
      delta: dialect === "ollama" ? { ...role, content: "" } : {},
      finish_reason,
      ...plain,
    }),
    done,
  };
}

/** Writes an answer as one document. */
export function writeWhole(
  options: MockAnswerOptions,
  answer: MockAnswer,
  usage: object | undefined,
): object {
  const { reasoningTokens = 0, toolCall } = options;
  const { kind, model, answers } = answer;
  const text = textOf(options, answer);
  const message = toolCall !== undefined
    ? {
      role: "assistant",
      content: null,
      tool_calls: toolsOf(toolCall).map((call, i) => ({
        id: `call_${i + 1}`,
        type: "function",
        function: call,
      })),
    }
    : {
      role: "assistant",
      content: text.slice(reasoningTokens).join(""),
      ...(reasoningTokens > 0 && { reasoning_content: text.slice(0, reasoningTokens).join("") }),
    };
  const said = kind === "chat" ? { message } : { text: text.join(""), logprobs: null };
  const finish_reason = finishOf(options, answer);
  return {
    id: kind === "chat" ? "chatcmpl-mock" : "cmpl-mock",
    object: kind === "chat" ? "chat.completion" : "text_completion",
    created: 1_700_000_000,
    model,
    choices: Array.from({ length: answers }, (_, index) => ({ index, ...said, finish_reason })),
    ...(usage && { usage }),
  };
}

/** Answers a request for vectors. LM Studio writes numbers whatever it is asked for. */
export function writeVectors(
  { dialect }: MockAnswerOptions,
  body: Readonly<Record<string, unknown>>,
  tellsUsage: boolean,
): object {
  const inputs: readonly unknown[] = Array.isArray(body.input) ? body.input : [body.input];
  const dimensions = typeof body.dimensions === "number" ? body.dimensions : undefined;
  const isBase64 = body.encoding_format === "base64" && dialect !== "lmstudio";
  const tokens = mockPromptTokens(body.input);
  return {
    object: "list",
    data: inputs.map((input, index) => {
      const vector = mockVector(input, dimensions);
      const bytes = new Uint8Array(new Float32Array(vector).buffer);
      return { object: "embedding", index, embedding: isBase64 ? bytes.toBase64() : vector };
    }),
    model: body.model,
    ...(tellsUsage && { usage: { prompt_tokens: tokens, total_tokens: tokens } }),
  };
}
