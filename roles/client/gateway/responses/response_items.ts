/** The items of OpenAI's Responses API, as messages of a chat request. @module */
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import { dataUrl, listField, mustBe, objectField, textField, unsupported } from "../body_fields.ts";
import { ChatMessages, type ChatPart } from "../chat_messages.ts";

/**
 * A conversation as messages.
 * @param instructions for this answer; empty for none
 * @throws {LloomError} `request_invalid`, `feature_unsupported`
 */
export function messagesOf(
  instructions: string,
  items: readonly JsonObject[],
): readonly JsonObject[] {
  const messages = new ChatMessages();
  messages.system(instructions);
  items.forEach((item, i) => addItem(messages, item, `input[${i}]`));
  return messages.list();
}

/** Whether an item only names another one. */
export function isReference({ type, id, role }: JsonObject): boolean {
  const untyped = type === undefined || type === null;
  return type === "item_reference" || (untyped && role === undefined && typeof id === "string");
}

function addItem(messages: ChatMessages, item: JsonObject, field: string): void {
  switch (item.type ?? "message") {
    case "message":
      return addMessage(messages, item, field);
    case "function_call":
      return messages.call(
        textField(item.call_id, `${field}.call_id`),
        textField(item.name, `${field}.name`),
        textField(item.arguments, `${field}.arguments`),
      );
    case "function_call_output":
      return messages.result(
        textField(item.call_id, `${field}.call_id`),
        partsOf(item.output, `${field}.output`),
      );
    case "reasoning":
      return messages.reasoning(thoughtOf(item));
    default:
      unsupported(
        `${field} must be a message, function_call, function_call_output, reasoning or item_reference`,
      );
  }
}

function addMessage(messages: ChatMessages, { role, content }: JsonObject, field: string): void {
  const parts = partsOf(content, `${field}.content`);
  switch (role) {
    case "user":
      return messages.user(parts);
    case "assistant":
      return messages.assistant(textOf(parts, field));
    case "system":
    case "developer": // another word for the same, which fewer templates know
      return messages.system(textOf(parts, field));
    default:
      mustBe(`${field}.role`, "user, assistant, system or developer");
  }
}

function textOf(parts: readonly ChatPart[], field: string): string {
  return parts.map((part) =>
    part.type === "text" ? part.text : mustBe(`${field}.content`, "text alone")
  ).join("");
}

function partsOf(content: unknown, field: string): readonly ChatPart[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (!Array.isArray(content)) mustBe(field, "a text or a list of parts");
  return content.map((part, i) => partOf(objectField(part, `${field}[${i}]`), `${field}[${i}]`));
}

function partOf(part: JsonObject, field: string): ChatPart {
  switch (part.type) {
    case "input_text":
    case "output_text":
      return { type: "text", text: textField(part.text, `${field}.text`) };
    case "refusal":
      return { type: "text", text: textField(part.refusal, `${field}.refusal`) };
    case "input_image":
      return imagePart(part, field);
    case "input_file":
      return filePart(part, field);
    default:
      return mustBe(`${field}.type`, "input_text, input_image, input_file, output_text or refusal");
  }
}

const NO_FILES = "there are no stored files here";

function imagePart({ image_url: url, detail }: JsonObject, field: string): ChatPart {
  if (typeof url !== "string") unsupported(`${field} must have an image_url: ${NO_FILES}`);
  const known = typeof detail === "string" && detail !== "auto" ? { detail } : {};
  return { type: "image_url", image_url: { url: dataUrl(url, `${field}.image_url`), ...known } };
}

function filePart({ file_data: data, filename }: JsonObject, field: string): ChatPart {
  if (typeof data !== "string") unsupported(`${field} must have its file_data: ${NO_FILES}`);
  const name = typeof filename === "string" ? filename : "file";
  return { type: "file", file: { filename: name, file_data: data } };
}

/** What the model thought, where it can be read: some providers encrypt it. */
function thoughtOf({ content, summary }: JsonObject): string {
  const textsIn = (value: unknown): string =>
    listField(value, "reasoning").map((part) =>
      isJsonObject(part) && typeof part.text === "string" ? part.text : ""
    ).join("");
  return textsIn(content) || textsIn(summary);
}
