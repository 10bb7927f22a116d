import { testChatBackend } from "../testing/chat_backend_suite.ts";
import { loadDemoModel } from "./embedded/demo_model.ts";
import { EmbeddedBackend } from "./embedded/embedded_backend.ts";

testChatBackend("embedded", async () => {
  const backend = new EmbeddedBackend(await loadDemoModel());
  const [model] = await backend.models(new AbortController().signal);
  return { backend, model: model!.id };
});
