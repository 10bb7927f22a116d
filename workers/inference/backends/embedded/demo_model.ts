/** The model that comes with Lloom; see MODEL_CARD.md beside this file. @module */
import { LloomError } from "@lloom/core/errors";

const FILE = new URL("./lloom-demo.q8_0.gguf", import.meta.url);

/**
 * The demo model's GGUF file (3 MB), for an `EmbeddedBackend`. Needs leave to read that file, or to fetch it
 * where this module came from the network: so it is loaded outside the worker, and handed over.
 * @throws {LloomError} `backend_unreachable`
 */
export async function loadDemoModel(): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const response = await fetch(FILE);
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await response.bytes();
  } catch (thrown) {
    throw LloomError.wrap(thrown, "backend_unreachable", "load demo model");
  }
}
