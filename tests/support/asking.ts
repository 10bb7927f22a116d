/** Questions to the network, for tests. @module */
import { type CompleteOptions, type LloomClient, textOf } from "@lloom/client";
import type { Receipt } from "@lloom/core/net";
import type { JsonObject } from "@lloom/core/protocol";

/** A chat request. */
export function chat(change: JsonObject = {}): JsonObject {
  return { model: "mock-model", messages: [{ role: "user", content: "hi" }], ...change };
}

/** Asks, and reads the answer to its proven end. */
export async function ask(
  client: LloomClient,
  change: JsonObject = {},
  options: CompleteOptions = {},
): Promise<{ readonly text: string; readonly receipt: Receipt }> {
  const completion = client.complete(chat(change), options);
  let text = "";
  for await (const chunk of completion) text += textOf(chunk);
  return { text, receipt: await completion.receipt };
}
