/** A client that has found a model's executor and does nothing more. Arguments: model, nodes. */
import { LloomClient } from "@lloom/client";
import assert from "node:assert/strict";

const [model, ...bootstrapNodes] = Deno.args;
const client = await LloomClient.connect({ bootstrapNodes, sandboxWorkers: true });
const executors = await client.executors(model);
assert.equal(executors.length, 1);
console.log("found");
