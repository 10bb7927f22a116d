/** What an answer says, apart from how it is delivered: its text and why it ended. @module */
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";

/** Reasons that mean the server gave up: the answer is not complete. */
const GAVE_UP: ReadonlySet<string> = new Set(["error", "abort", "aborted", "cancelled"]);
/** Longest reason that is passed on. */
const MAX_REASON_CHARS = 64;

function textOfChoice({ delta, text }: JsonObject): string {
  if (isJsonObject(delta)) return textOfDelta(delta);
  return typeof text === "string" ? text : "";
}

function textOfDelta(delta: JsonObject): string {
  // Servers name reasoning in one of two ways, never both with different text.
  const reasoning = delta.reasoning_content ?? delta.reasoning;
  let text = "";
  for (const part of [reasoning, delta.content, delta.refusal]) {
    if (typeof part === "string") text += part;
  }
  if (!Array.isArray(delta.tool_calls)) return text;
  for (const call of delta.tool_calls) {
    const called = isJsonObject(call) ? call.function : undefined;
    if (!isJsonObject(called)) continue;
    if (typeof called.name === "string") text += called.name;
    if (typeof called.arguments === "string") text += called.arguments;
  }
  return text;
}

/** Collects an answer's text, for counting its tokens, and its reason to end. */
export class AnswerText {
  readonly #parts: string[] = [];
  #length = 0;
  #reason: string | undefined;
  #gaveUp = false;

  /** Takes the `choices` of one chunk, of a chat or a completion. */
  add(choices: readonly unknown[]): void {
    for (const choice of choices) {
      if (!isJsonObject(choice)) continue;
      const { finish_reason: reason } = choice;
      const text = textOfChoice(choice);
      if (text !== "") this.#parts.push(text);
      this.#length += text.length;
      if (typeof reason === "string" && reason !== "") {
        this.#gaveUp ||= GAVE_UP.has(reason);
        // Of several answers the first one's reason counts, unless a later one was cut.
        if (this.#reason === undefined || reason === "length") {
          this.#reason = reason.slice(0, MAX_REASON_CHARS);
        }
      }
    }
  }

  /** In UTF-16 units. */
  get length(): number {
    return this.#length;
  }

  /** All text so far, of all answers, reasoning and tool calls included. */
  get text(): string {
    return this.#parts.join("");
  }

  /** Why the model finished; `stop` if it did not say. */
  get reason(): string {
    return this.#reason ?? "stop";
  }

  /** Whether the server says that it did not finish. */
  get gaveUp(): boolean {
    return this.#gaveUp;
  }
}
