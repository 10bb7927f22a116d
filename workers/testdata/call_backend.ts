/** Asks the model server at the first argument, and prints what it answers. */
import { BackendHttp } from "../inference/backends/http.ts";

const [endpoint] = Deno.args as [string];
const http = new BackendHttp({
  endpoint,
  apiKey: "secret",
  connectTimeoutMs: 5000,
  idleTimeoutMs: 5000,
});
const answer = await http.json("v1/models", undefined, 1024, new AbortController().signal);
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(answer)));
