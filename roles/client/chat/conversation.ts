/** What was said in a chat, and how to go on with it. @module */
import type { LloomError } from "@lloom/core/errors";
import type { Cost } from "@lloom/core/payments";
import type { JsonObject } from "@lloom/core/protocol";

/** One message. */
export interface ChatMessage {
  /** Who says it. */
  readonly role: "user" | "assistant";
  /** Its text. */
  readonly content: string;
}

/** An answer, or as much of it as came. */
export interface ChatAnswer {
  /** Its text. */
  readonly content: string;
  /** PeerId of who gave it; absent if nobody did, or it is not proven. */
  readonly executor?: string;
  /** Why it ended, in OpenAI's words. */
  readonly finish: string;
  /** Tokens of the prompt, as proven; 0 without a receipt. */
  readonly promptTokens: number;
  /** Tokens of the answer, as proven; 0 without a receipt. */
  readonly completionTokens: number;
  /** What it came to; absent if it was free. */
  readonly cost?: Cost;
  /** Its prices in words; absent if it was free. */
  readonly prices?: string;
  /** Why it is not whole; absent if it is. */
  readonly error?: LloomError;
}

/** How answers are wished, beyond what is said. */
export interface AnswerLimits {
  /** The most tokens of an answer. */
  readonly maxTokens: number;
  /** Absent: the model's own. */
  readonly temperature: number | undefined;
}

/** What a conversation came to, messages that were cleared included. */
export interface ChatTotals {
  /** Answers, broken ones too. */
  readonly answers: number;
  /** Tokens of all prompts, each of which holds all that was said before. */
  readonly promptTokens: number;
  /** Tokens of all answers. */
  readonly completionTokens: number;
  /** Of all that had a price. */
  readonly cost: Cost;
}

/** A conversation with a model. */
export class Conversation {
  /** The model that is asked; undefined before one is chosen. */
  model: string | undefined;
  /** Said to the model first; undefined for nothing. */
  system: string | undefined;
  #messages: readonly ChatMessage[] = [];
  #last: ChatAnswer | undefined;
  #totals: ChatTotals = { answers: 0, promptTokens: 0, completionTokens: 0, cost: 0n };

  /** A conversation that begins. */
  constructor(model: string | undefined, system: string | undefined) {
    this.model = model;
    this.system = system;
  }

  /** All that was said since it was last cleared. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The newest answer; undefined before the first. */
  get last(): ChatAnswer | undefined {
    return this.#last;
  }

  /** What it came to. */
  get totals(): ChatTotals {
    return this.#totals;
  }

  /** All that was said and a new message, as an OpenAI chat-completion request. */
  request(model: string, message: string, { maxTokens, temperature }: AnswerLimits): JsonObject {
    return {
      model,
      messages: [...this.#allSaid(), { role: "user", content: message }],
      max_tokens: maxTokens,
      ...(temperature !== undefined && { temperature }),
    };
  }

  /**
   * Adds a message and its answer. What its reader stopped stays said, as far as it came; an answer
   * that broke is left out with its message, for the model would take the torn text for its own.
   */
  add(message: string, answer: ChatAnswer): void {
    const { content, promptTokens, completionTokens, cost = 0n, error } = answer;
    this.#last = answer;
    this.#totals = {
      answers: this.#totals.answers + 1,
      promptTokens: this.#totals.promptTokens + promptTokens,
      completionTokens: this.#totals.completionTokens + completionTokens,
      cost: this.#totals.cost + cost,
    };
    if (content === "" || (error !== undefined && error.code !== "aborted")) return;
    this.#messages = [
      ...this.#messages,
      { role: "user", content: message },
      { role: "assistant", content },
    ];
  }

  /** Forgets what was said; model, instructions and totals stay. */
  clear(): void {
    this.#messages = [];
  }

  /** All that was said, as Markdown for people, or as the messages of a request. */
  transcript(form: "markdown" | "json"): string {
    const messages = this.#allSaid();
    if (form === "json") {
      return `${JSON.stringify({ model: this.model, messages }, undefined, 2)}\n`;
    }
    const sections = messages.map(({ role, content }) => `\n## ${role}\n\n${content}\n`);
    return `# Chat with ${this.model ?? "a model"}\n${sections.join("")}`;
  }

  #allSaid(): readonly JsonObject[] {
    const instructions = this.system === undefined
      ? []
      : [{ role: "system", content: this.system }];
    return [...instructions, ...this.#messages.map((message) => ({ ...message }))];
  }
}
