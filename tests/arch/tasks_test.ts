/** The tasks in deno.json run the roles with exactly their manifests' permissions. */
import { taskCommand } from "@lloom/host/manifest";
import assert from "node:assert/strict";
import { DEFAULT_API_KEY_VARIABLES } from "../../scripts/install_role.ts";
import { read } from "./sources.ts";

const { tasks } = JSON.parse(read("deno.json")) as { tasks: Readonly<Record<string, string>> };

const ROLES = [
  { role: "client", env: [] },
  { role: "executor", env: DEFAULT_API_KEY_VARIABLES },
  { role: "validator", env: [] },
  { role: "faucet", env: [] },
] as const;

for (const { role, env } of ROLES) {
  Deno.test(`the task ${role} and the manifest of the ${role} agree`, () => {
    assert.equal(tasks[role], taskCommand(role, env));
  });
}

Deno.test("every script that a task runs is there", () => {
  const scripts = Object.entries(tasks).filter(([name]) =>
    !ROLES.some(({ role }) => role === name)
  );
  for (const [name, command] of scripts) {
    for (const [path] of command.matchAll(/(?<![\w*/])[\w/]+\.ts\b/g)) {
      assert.ok(
        Deno.statSync(new URL(`../../${path}`, import.meta.url)).isFile,
        `${name}: ${path}`,
      );
    }
  }
});
