/** Conversations of other APIs, as the messages of a chat request. @module */
import type { JsonObject } from "@lloom/core/protocol";

/** A part of a message's content, in the form of chat requests. */
export type ChatPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly image_url: JsonObject }
  | { readonly type: "file"; readonly file: JsonObject };

interface AssistantMessage {
  readonly role: "assistant";
  content: string | null;
  reasoning_content?: string;
  tool_calls?: JsonObject[];
}

type ChatMessage = AssistantMessage | JsonObject;

/**
 * Builds the messages. Other APIs have an assistant's words, reasoning and calls as items of their
 * own: those of one turn become one message, for chat templates want each call answered right after
 * it. Tools answer in text only there: what else they bring follows as a message of the user.
 */
export class ChatMessages {
  readonly #messages: ChatMessage[] = [];
  #media: ChatPart[] = [];

  /** Instructions. Empty ones are left out. */
  system(text: string): void {
    if (text !== "") this.#push({ role: "system", content: text });
  }

  /** What the user says or shows. */
  user(parts: readonly ChatPart[]): void {
    const content = [...this.#media, ...parts];
    this.#media = [];
    if (content.length > 0) this.#push({ role: "user", content: plainest(content) });
  }

  /** What the model said. */
  assistant(text: string): void {
    const last = this.#turn();
    // Words after a call belong to its message: nothing may stand between a call and its result.
    if (last !== undefined && (last.content === null || last.tool_calls !== undefined)) {
      last.content = (last.content ?? "") + text;
    } else this.#push({ role: "assistant", content: text });
  }

  /** What the model thought before it spoke or called. */
  reasoning(text: string): void {
    if (text === "") return;
    const last = this.#turn();
    if (last !== undefined && last.content === null && last.tool_calls === undefined) {
      last.reasoning_content = (last.reasoning_content ?? "") + text;
    } else this.#push({ role: "assistant", content: null, reasoning_content: text });
  }

  /** A tool that the model called. @param args JSON */
  call(id: string, name: string, args: string): void {
    const call = { id, type: "function", function: { name, arguments: args } };
    const last = this.#turn();
    if (last === undefined) {
      this.#push({ role: "assistant", content: null, tool_calls: [call] });
    } else (last.tool_calls ??= []).push(call);
  }

  /** What a tool brought. */
  result(callId: string, parts: readonly ChatPart[]): void {
    const media = parts.filter(({ type }) => type !== "text");
    const text = parts.map((part) => part.type === "text" ? part.text : "").join("");
    const content = text === "" && media.length > 0 ? "The result follows." : text;
    this.#messages.push({ role: "tool", tool_call_id: callId, content });
    this.#media.push(...media);
  }

  /** All messages. @param continues whether the last one, of the model, is to be continued */
  list(continues = false): readonly JsonObject[] {
    this.#flush();
    const list: JsonObject[] = this.#messages.map((message) => ({ ...message }));
    const last = list.at(-1);
    if (continues && last?.role === "assistant") list.splice(-1, 1, { ...last, prefix: true });
    return list;
  }

  /** The model's message to which more of the same turn belongs. */
  #turn(): AssistantMessage | undefined {
    const last = this.#messages.at(-1);
    return isAssistant(last) ? last : undefined;
  }

  #push(message: ChatMessage): void {
    this.#flush();
    this.#messages.push(message);
  }

  #flush(): void {
    if (this.#media.length > 0) this.user([]);
  }
}

function isAssistant(message: ChatMessage | undefined): message is AssistantMessage {
  return message?.role === "assistant";
}

/** Content as text where it is one: many servers' templates know nothing else. */
function plainest(parts: readonly ChatPart[]): unknown {
  const [first, ...others] = parts;
  return first?.type === "text" && others.length === 0 ? first.text : parts;
}
