import assert from "node:assert/strict";
import { FAUCET_SETTINGS } from "./faucet_settings.ts";
import { resolveConfig } from "./resolve_config.ts";

function faucet(text: string) {
  return resolveConfig(FAUCET_SETTINGS, {
    file: { path: "/etc/lloom/config.toml", text },
    env: {},
    flags: {},
  }).config;
}

Deno.test("mails with tokens are printed only where the faucet is this machine's alone", () => {
  assert.equal(faucet("").mail.print, false);
  assert.equal(faucet("[mail]\nprint = true").mail.print, true);
  assert.throws(() => faucet('[mail]\nprint = true\n[http]\nhost = "0.0.0.0"'), {
    code: "config_invalid",
    message: /mail\.print must be false/,
  });
});
