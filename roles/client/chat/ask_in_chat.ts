/** The answers of a chat, from the network. @module */
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import { textOf } from "../asking/chat_chunk.ts";
import type { CompleteOptions, LloomClient } from "../client.ts";
import { pricesInWords } from "../spending.ts";
import type { ChatRoute } from "./chat_session.ts";
import type { ChatAnswer } from "./conversation.ts";

/**
 * Asks, and tells what came of it, be it a part.
 * @param options how executors are chosen in general
 * @param onText told of every piece of text as it comes
 * @throws {LloomError} what is wrong with the request itself
 */
export async function askInChat(
  client: LloomClient,
  request: JsonObject,
  { only, prefer }: ChatRoute,
  options: CompleteOptions,
  onText: (text: string) => void,
): Promise<ChatAnswer> {
  const completion = client.complete(request, {
    ...options,
    prefer: [...(prefer === undefined ? [] : [prefer]), ...options.prefer ?? []],
    ...(only !== undefined && { only: [only] }),
  });
  let content = "";
  let finish = "stop";
  let error: LloomError | undefined;
  try {
    for await (const chunk of completion) {
      const text = textOf(chunk);
      content += text;
      finish = chunk.choices[0]?.finish_reason ?? finish;
      if (text !== "") onText(text);
    }
  } catch (thrown) {
    error = LloomError.wrap(thrown);
    // A fault of ours, and no answer.
    if (error.code === "internal") throw thrown;
  }
  // What was delivered of a broken answer is proven, and paid, only now.
  const [proof] = await Promise.allSettled([completion.receipt]);
  const last = completion.parts.findLast(({ delivers }) => delivers);
  const { promptTokens, completionTokens, cost } = completion.usage();
  const asset = client.wallet?.funds?.asset;
  const prices = last && asset && cost > 0n && pricesInWords(last, asset);
  return {
    content,
    finish,
    ...(last && { executor: last.candidate.announcement.peerId }),
    promptTokens: proof.status === "fulfilled" ? promptTokens : 0,
    completionTokens: proof.status === "fulfilled" ? completionTokens : 0,
    ...(cost > 0n && { cost }),
    ...(prices && {
      prices: `${prices.inboundPrice} in, ${prices.outboundPrice} out, per 1,000,000 tokens`,
    }),
    ...(error && { error }),
  };
}
