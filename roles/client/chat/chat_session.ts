/** A chat: takes lines in, gives answers out, and keeps the conversation. @module */
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import { UsageError } from "@lloom/host";
import { type ChatState, type ChatTools, runChatCommand } from "./chat_commands.ts";
import type { AnswerLimits, ChatAnswer, Conversation } from "./conversation.ts";

/** Whom to ask. */
export interface ChatRoute {
  /** Nobody else; absent for any. */
  readonly only?: string;
  /** Who answered before, and may still have what it read then: before all others. */
  readonly prefer?: string;
}

/** What a chat stands between: a person and the network. */
export interface ChatPort extends ChatTools {
  /**
   * Asks. An answer that breaks, or is stopped by the signal, tells why.
   * @param onText told of every piece of text as it comes
   * @throws {LloomError} what is wrong with the request itself
   */
  readonly ask: (
    request: JsonObject,
    route: ChatRoute,
    onText: (text: string) => void,
    signal: AbortSignal,
  ) => Promise<ChatAnswer>;
  /** Shows text of an answer. */
  readonly showText: (text: string) => void;
  /** Shows what is to be known of an answer that has ended. */
  readonly showEnd: (answer: ChatAnswer) => void;
  /** Ends the lines. */
  readonly leave: () => void;
}

/** One chat. */
export class ChatSession {
  readonly #state: ChatState;
  readonly #limits: AnswerLimits;
  readonly #port: ChatPort;
  #answering: AbortController | undefined;
  #isInterrupted = false;

  /** A chat that has not begun. */
  constructor(conversation: Conversation, limits: AnswerLimits, port: ChatPort) {
    this.#state = { conversation, executor: undefined };
    this.#limits = limits;
    this.#port = port;
  }

  /** Goes on until the lines end, or `/quit`. */
  async run(lines: AsyncIterable<string>): Promise<void> {
    let message = "";
    for await (const line of lines) {
      this.#isInterrupted = false;
      message += line;
      if (message.endsWith("\\")) {
        message = `${message.slice(0, -1)}\n`;
      } else {
        if (!await this.#take(message)) return;
        message = "";
      }
    }
  }

  /** Stops an answer. A second time, before another line has come, ends the lines. */
  interrupt(): void {
    const isSecond = this.#isInterrupted;
    this.#isInterrupted = true;
    if (this.#answering !== undefined) {
      this.#answering.abort(new LloomError("aborted", "answer: stopped"));
    } else if (!isSecond) {
      this.#port.say("Ctrl-C again leaves, as /quit does");
    }
    if (isSecond) this.#port.leave();
  }

  /** @returns whether the chat goes on */
  async #take(message: string): Promise<boolean> {
    if (message.trim() === "") return true;
    try {
      if (message.startsWith("/") && !message.startsWith("//")) {
        return await runChatCommand(message.slice(1), this.#state, this.#port);
      }
      await this.#answer(message.replace(/^\/\//, "/"));
    } catch (error) {
      // What can be said better is no end of the conversation.
      if (!(error instanceof LloomError || error instanceof UsageError)) throw error;
      this.#port.say(error.message);
    }
    return true;
  }

  async #answer(message: string): Promise<void> {
    const { conversation, executor } = this.#state;
    const { model, last } = conversation;
    if (model === undefined) {
      return this.#port.say("choose a model with /model NAME first; /model lists those on offer");
    }
    const request = conversation.request(model, message, this.#limits);
    const prefer = last?.executor;
    const route = executor !== undefined ? { only: executor } : { ...(prefer && { prefer }) };
    this.#answering = new AbortController();
    try {
      const { signal } = this.#answering;
      const answer = await this.#port.ask(request, route, this.#port.showText, signal);
      conversation.add(message, answer);
      this.#port.showEnd(answer);
    } finally {
      this.#answering = undefined;
    }
  }
}
