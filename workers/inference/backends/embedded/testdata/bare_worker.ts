/** Loads the model it is sent, answers one chat, and tells the text and what it was allowed to do. @module */
import { readModelRequest } from "@lloom/core/protocol";
import { EmbeddedBackend } from "../embedded_backend.ts";

const scope = self as unknown as Pick<Worker, "postMessage" | "onmessage">;
scope.onmessage = async ({ data }: MessageEvent<Uint8Array>): Promise<void> => {
  const backend = new EmbeddedBackend(data);
  const request = readModelRequest({
    model: "lloom-demo",
    messages: [{ role: "user", content: "Please introduce yourself" }],
  });
  let text = "";
  for await (const event of backend.answer("lloom-demo", request, new AbortController().signal)) {
    if (event.type !== "part" || !("choices" in event.part)) continue;
    const [choice] = event.part.choices as [{ delta: { content?: string } }];
    text += choice.delta.content ?? "";
  }
  const names = ["read", "write", "net", "env", "run", "sys", "ffi", "import"] as const;
  const granted = names.filter((name) => Deno.permissions.querySync({ name }).state === "granted");
  scope.postMessage({ text, granted });
};
