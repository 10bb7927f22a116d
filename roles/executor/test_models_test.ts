import { ZERO_ADDRESS } from "@lloom/core/bytes";
import { parseModelRequest } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import { ScriptedModel } from "../../tests/support/scripted_model.ts";
import { testModel } from "./test_models.ts";

Deno.test("each model is asked for what it can do, and one that says nothing fails", async () => {
  for (
    const [features, kind] of [
      [["chat", "embeddings"], "chat"],
      [["embeddings"], "embedding"],
      [["completions"], "completion"],
    ] as const
  ) {
    for (const says of [true, false]) {
      const model = new ScriptedModel();
      const started = model.nextRun;
      const test = testModel({ id: "m", features }, model, ZERO_ADDRESS, 5000);
      const run = await started;
      assert.equal(parseModelRequest(run.job.body).kind, kind);
      if (says) run.say("{}");
      run.end();
      assert.equal((await test).error?.code, says ? undefined : "backend_failed");
    }
  }
});
