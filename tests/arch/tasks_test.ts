/** The tasks in deno.json run the roles with exactly their manifests' permissions. */
import { parseManifest, taskCommand } from "@lloom/host/manifest";
import assert from "node:assert/strict";
import { DEFAULT_API_KEY_VARIABLES } from "../../scripts/install_role.ts";
import { read } from "./sources.ts";

const { tasks } = JSON.parse(read("deno.json")) as { tasks: Readonly<Record<string, string>> };

const ROLES = [
  { task: "client", role: "client", env: [], extra: [] },
  { task: "demo", role: "client", env: [], extra: ["--demo"] },
  { task: "executor", role: "executor", env: DEFAULT_API_KEY_VARIABLES, extra: [] },
  { task: "validator", role: "validator", env: [], extra: [] },
];

for (const { task, role, env, extra } of ROLES) {
  Deno.test(`the task ${task} and the manifest of the ${role} agree`, () => {
    const manifest = parseManifest(read(`roles/${role}/permissions.json`));
    assert.equal(tasks[task], taskCommand(role, manifest, env, extra));
  });
}

Deno.test("every script that a task runs is there", () => {
  const scripts = Object.entries(tasks).filter(([name]) =>
    !ROLES.some(({ task }) => task === name)
  );
  for (const [name, command] of scripts) {
    for (const [path] of command.matchAll(/\b[\w/]+\.ts\b/g)) {
      assert.ok(
        Deno.statSync(new URL(`../../${path}`, import.meta.url)).isFile,
        `${name}: ${path}`,
      );
    }
  }
});
