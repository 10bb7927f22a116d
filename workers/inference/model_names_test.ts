import assert from "node:assert/strict";
import type { BackendModel } from "./backends/backend.ts";
import { ModelNames } from "./model_names.ts";

const models: BackendModel[] = [
  { id: "a", features: ["tools"], contextLength: 100 },
  { id: "b", features: [] },
];

Deno.test("without settings, models are offered as the backend names them", () => {
  assert.deepEqual(new ModelNames({}).update(models), [
    { name: "a", backendModel: "a", features: ["tools"], contextLength: 100 },
    { name: "b", backendModel: "b", features: [] },
  ]);
});

Deno.test("what the operator knows of its server is told of the models that write", () => {
  const names = new ModelNames({ features: ["tools", "n"] });
  const told = names.update([...models, { id: "c", features: ["embeddings"] }, {
    id: "d",
    features: ["chat"],
  }]);
  assert.deepEqual(told.map(({ features }) => features), [
    ["tools", "n"],
    [],
    ["embeddings"],
    ["chat", "tools", "n"],
  ]);
});

Deno.test("an aliased model is offered under its aliases alone, and found by them", () => {
  const names = new ModelNames({ aliases: { x: "a", y: "a" } });
  assert.equal(names.find("x").backendModel, "a");
  assert.deepEqual(names.update(models).map(({ name }) => name), ["x", "y", "b"]);
  assert.equal(names.find("y").backendModel, "a");
  assert.throws(() => names.find("a"), { code: "model_unavailable" });
});

Deno.test("the allow-list goes by announced names, before and after the backend was asked", () => {
  const names = new ModelNames({ aliases: { x: "a" }, models: ["x"] });
  assert.throws(() => names.find("b"), { code: "model_unavailable" });
  assert.deepEqual(names.update(models).map(({ name }) => name), ["x"]);
  assert.throws(() => names.find("b"), { code: "model_unavailable" });
});

Deno.test("a model that the backend no longer has is not found", () => {
  const names = new ModelNames({});
  assert.equal(names.find("a").backendModel, "a");
  names.update([models[1]!]);
  assert.throws(() => names.find("a"), { code: "model_unavailable" });
});

Deno.test("the smaller context length counts", () => {
  const names = new ModelNames({ contextLength: 60 });
  assert.deepEqual(names.update(models).map((m) => m.contextLength), [60, 60]);
  assert.equal(names.find("a").contextLength, 60);
  assert.equal(new ModelNames({ contextLength: 60 }).find("z").contextLength, 60);
});
