/** The content of Anthropic's messages, as messages of a chat request. @module */
import type { JsonObject } from "@lloom/core/protocol";
import { dataUrl, listField, mustBe, objectField, textField, unsupported } from "../body_fields.ts";
import type { ChatMessages, ChatPart } from "../chat_messages.ts";

/** Instructions: a text, or blocks of it. @throws {LloomError} `request_invalid` */
export function systemText(value: unknown, field: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  return listField(value, field).map((block, i) => {
    const { type, text } = objectField(block, `${field}[${i}]`);
    return type === "text"
      ? textField(text, `${field}[${i}].text`)
      : mustBe(`${field}[${i}].type`, "text");
  }).join("\n");
}

/** Adds one message. @throws {LloomError} `request_invalid`, `feature_unsupported` */
export function addMessage(messages: ChatMessages, message: JsonObject, field: string): void {
  const { role, content } = message;
  switch (role) {
    case "user":
      return addUser(messages, blocksOf(content, `${field}.content`), `${field}.content`);
    case "assistant":
      return addAssistant(messages, blocksOf(content, `${field}.content`), `${field}.content`);
    case "system":
      return messages.system(systemText(content, `${field}.content`));
    default:
      mustBe(`${field}.role`, "user or assistant");
  }
}

function blocksOf(content: unknown, field: string): readonly JsonObject[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (content === undefined || content === null) mustBe(field, "a text or a list of blocks");
  return listField(content, field).map((block, i) => objectField(block, `${field}[${i}]`));
}

function addUser(messages: ChatMessages, blocks: readonly JsonObject[], field: string): void {
  const said: ChatPart[] = [];
  blocks.forEach((block, i) => {
    if (block.type === "tool_result") addResult(messages, block, `${field}[${i}]`);
    else said.push(partOf(block, `${field}[${i}]`));
  });
  messages.user(said);
}

function addResult(messages: ChatMessages, block: JsonObject, field: string): void {
  const { content } = block;
  const isEmpty = content === undefined || content === null;
  const parts = isEmpty
    ? []
    : blocksOf(content, `${field}.content`).map((inner, i) =>
      partOf(inner, `${field}.content[${i}]`)
    );
  const id = textField(block.tool_use_id, `${field}.tool_use_id`);
  // Chat requests have no word for a tool that failed: the model must read it.
  const failed: ChatPart[] = block.is_error === true ? [{ type: "text", text: "Error: " }] : [];
  messages.result(id, [...failed, ...parts]);
}

function addAssistant(messages: ChatMessages, blocks: readonly JsonObject[], field: string): void {
  // One message, whose parts stay together.
  let said = "";
  const calls: JsonObject[] = [];
  blocks.forEach((block, i) => {
    switch (block.type) {
      case "thinking":
        return messages.reasoning(textField(block.thinking, `${field}[${i}].thinking`));
      case "redacted_thinking": // readable to Anthropic alone
        return;
      case "text":
        said += textField(block.text, `${field}[${i}].text`);
        return;
      case "tool_use":
        textField(block.id, `${field}[${i}].id`);
        textField(block.name, `${field}[${i}].name`);
        calls.push(block);
        return;
      default:
        mustBe(`${field}[${i}].type`, "text, thinking or tool_use");
    }
  });
  if (said !== "") messages.assistant(said);
  for (const { id, name, input } of calls) {
    messages.call(String(id), String(name), JSON.stringify(input ?? {}));
  }
}

function partOf(block: JsonObject, field: string): ChatPart {
  switch (block.type) {
    case "text":
      return { type: "text", text: textField(block.text, `${field}.text`) };
    case "image":
      return { type: "image_url", image_url: { url: imageUrl(block, `${field}.source`) } };
    case "document":
      return documentPart(block, `${field}.source`);
    default:
      return mustBe(`${field}.type`, "text, image, document or tool_result");
  }
}

function imageUrl({ source }: JsonObject, field: string): string {
  const { type, media_type: mediaType, data, url } = objectField(source, field);
  switch (type) {
    case "base64":
      return base64Url(mediaType, data, field);
    case "url":
      return dataUrl(textField(url, `${field}.url`), field);
    default:
      return unsupported(`${field} must be of type base64: there are no stored files here`);
  }
}

function documentPart({ source, title }: JsonObject, field: string): ChatPart {
  const { type, media_type: mediaType, data } = objectField(source, field);
  switch (type) {
    case "text":
      return { type: "text", text: textField(data, `${field}.data`) };
    case "base64": {
      const filename = typeof title === "string" ? title : "document.pdf";
      return { type: "file", file: { filename, file_data: base64Url(mediaType, data, field) } };
    }
    default:
      return unsupported(`${field} must be of type base64 or text`);
  }
}

function base64Url(mediaType: unknown, data: unknown, field: string): string {
  const type = textField(mediaType, `${field}.media_type`);
  return `data:${type};base64,${textField(data, `${field}.data`)}`;
}
