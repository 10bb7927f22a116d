import { testBackend } from "../testing/backend_suite.ts";
import { loadDemoModel } from "./embedded/demo_model.ts";
import { EmbeddedBackend } from "./embedded/embedded_backend.ts";

testBackend("embedded", async () => {
  const backend = new EmbeddedBackend(await loadDemoModel());
  const [model] = await backend.models(new AbortController().signal);
  return { backend, model: model!.id };
});
