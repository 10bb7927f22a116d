import assert from "node:assert/strict";
import { Option } from "@commander-js/extra-typings";
import fc from "fast-check";
import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { generateIdentity, toChecksumAddress } from "@lloom/core/identity";
import { CLIENT_SETTINGS, type ClientConfig } from "./client_settings.ts";
import { EXECUTOR_SETTINGS, type ExecutorConfig } from "./executor_settings.ts";
import { type ConfigSources, flagName, resolveConfig, singleSettings } from "./resolve_config.ts";
import type { AnyNode } from "./setting.ts";
import { VALIDATOR_SETTINGS } from "./validator_settings.ts";

const FILE = "/etc/lloom/config.toml";

function executor(
  toml: string,
  rest: Partial<ConfigSources> = {},
): { config: ExecutorConfig; warnings: readonly string[] } {
  return resolveConfig(EXECUTOR_SETTINGS, {
    file: { path: FILE, text: toml },
    env: {},
    flags: {},
    ...rest,
  });
}

function refused(run: () => unknown, ...parts: string[]): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof LloomError);
    assert.equal(error.code, "config_invalid");
    for (const part of parts) assert.ok(error.message.includes(part), error.message);
    return true;
  });
}

Deno.test("flags win over variables, variables over the file, the file over defaults", () => {
  const file = "[blockchain]\nchain_id = 2\n[network]\nport = 7001\n[logging]\nlevel = 'error'";
  assert.equal(executor("").config.network.port, 9001);
  assert.equal(executor(file).config.network.port, 7001);
  const env = { LLOOM_PORT: "7002", LLOOM_LOG_LEVEL: "warn" };
  assert.equal(executor(file, { env }).config.network.port, 7002);
  const both = executor(file, { env, flags: { port: "7003" } }).config;
  assert.equal(both.network.port, 7003);
  assert.equal(both.logging.level, "warning");
  assert.equal(both.blockchain.chainId, 2);
});

Deno.test("an empty variable counts as absent", () => {
  assert.equal(executor("", { env: { LLOOM_PORT: "" } }).config.network.port, 9001);
});

Deno.test("a whole executor file is read", () => {
  const { config, warnings } = executor(`
    [network]
    bootstrap_nodes = ["/ip4/127.0.0.1/tcp/9000/p2p/16Uiu2HAm1", "/dns4/node.example/tcp/443/tls/ws"]
    external_address = "/ip4/203.0.113.7/tcp/9001"
    [[llm_backends]]
    name = "local"
    kind = "ollama"
    endpoint = "http://127.0.0.1:11434"
    supported_models = ["llama3.2:3b"]
    aliases = { "llama" = "llama3.2:3b" }
    rate_limit = 60
    timeout = 9
    [[llm_backends]]
    name = "demo"
    kind = "embedded"
    [pricing]
    default_inbound_price = 100000000000000000000
    default_outbound_price = "250000"
    [pricing.models."llama3.2:3b"]
    outbound_price = 7
    [executor]
    max_concurrent_requests = 8
  `);
  assert.deepEqual(warnings, []);
  assert.deepEqual(config.network.externalAddresses, ["/ip4/203.0.113.7/tcp/9001"]);
  assert.deepEqual(config.network.listenAddresses, ["/ip4/0.0.0.0/tcp/9001"]);
  assert.deepEqual(config.llmBackends.map((backend) => backend.name), ["local", "demo"]);
  assert.equal(config.llmBackends[0]?.timeoutSecs, 9);
  assert.deepEqual(config.llmBackends[0]?.aliases, { llama: "llama3.2:3b" });
  assert.equal(config.llmBackends[1]?.maxConcurrent, 16);
  assert.equal(config.pricing.defaultInboundPrice, 10n ** 20n);
  assert.equal(config.pricing.defaultOutboundPrice, 250_000n);
  assert.deepEqual(config.pricing.models.get("llama3.2:3b"), {
    inboundPrice: undefined,
    outboundPrice: 7n,
  });
  assert.equal(config.executor.maxConcurrentRequests, 8);
});

Deno.test("an unknown key names file and key, and suggests the nearest", () => {
  refused(() => executor("[network]\nlisten_adresses = []"), FILE, "network.listen_addresses?");
  refused(() => executor("[netwrok]"), FILE, "unknown key netwrok", "did you mean network?");
  refused(() => executor("[storage]\nzzzzzzzz = 1"), "known here: data_dir");
  refused(
    () => executor(`[[llm_backends]]\nname="a"\nendpont="http://h"`),
    "did you mean llm_backends[0].endpoint?",
  );
  refused(
    () => executor(`[pricing.models.m]\ninput_price=1`),
    "pricing.models.m.input_price",
    "inbound_price",
  );
});

Deno.test("a bad value names where it stands, its key, and what is allowed", () => {
  refused(() => executor("[network]\nport = 65536"), FILE, "network.port", "from 0 to 65535");
  refused(() => executor("[network]\nport = '1'"), "network.port");
  refused(() => executor("network = 1"), "network must be a section");
  refused(
    () => executor("[[llm_backends]]\nkind='embedded'"),
    "llm_backends[0].name must be given",
  );
  refused(() => executor("", { env: { LLOOM_PORT: "x" } }), "LLOOM_PORT", "network.port");
  refused(() => executor("", { flags: { logLevel: "loud" } }), "--log-level", "trace, debug");
  refused(() => executor("[network]\nbootstrap_nodes = ['1.2.3.4:9000']"), "multiaddr");
  refused(() => executor("[network]\nbootstrap_nodes = ['/ip4/1.2.3.4/tcp/99999']"), "multiaddr");
  refused(() => executor("[network]\nbootstrap_nodes = ['/p2p-circuit']"), "multiaddr");
  refused(() => executor("[pricing]\ndefault_inbound_price = -1"), "non-negative");
  refused(() => executor("[pricing]\ndefault_inbound_price = 0.5"), "non-negative");
  refused(() => executor("[identity]\nauto_generate=true\ngenerate_if_missing=true"), "beside");
});

Deno.test("an executor is named by its PeerId or its address, with no letter mistyped", () => {
  const { peerId, address } = generateIdentity();
  const named = (...executor: string[]) =>
    resolveConfig(CLIENT_SETTINGS, { env: {}, flags: { executor } }).config.executorSelection
      .preferredExecutors;
  const names = [peerId, address, toChecksumAddress(address)];
  assert.deepEqual(named(...names), names);
  const example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"; // of EIP-55
  assert.deepEqual(named(example), [example]);
  const mistyped = [example.replace("aA", "AA"), peerId.slice(0, -1), `${peerId}1`, "somebody"];
  for (const name of mistyped) refused(() => named(name), "PeerId");
});

Deno.test("rules between keys hold", () => {
  refused(() => executor("[[llm_backends]]\nname='a'"), "llm_backends[0].endpoint must be given");
  refused(
    () => executor("[[llm_backends]]\nname='a'\nkind='embedded'\nendpoint='http://h'"),
    "must be absent",
  );
  const twice = "[[llm_backends]]\nname='a'\nkind='embedded'\n";
  refused(() => executor(twice + twice), "llm_backends[1].name must differ");
  refused(
    () => resolveConfig(CLIENT_SETTINGS, { env: {}, flags: { strategy: "specific" } }),
    "preferred_executors",
  );
  const validator = { path: FILE, text: "[registry]\nstale_secs=100\ngone_secs=50" };
  refused(
    () => resolveConfig(VALIDATOR_SETTINGS, { file: validator, env: {}, flags: {} }),
    "gone_secs",
  );
});

Deno.test("no error quotes a value, and a private key is refused in a file", () => {
  const secret = "5e".repeat(32);
  for (
    const toml of [
      `[identity]\nprivate_key = "${secret}"`,
      `[network]\nport = "${secret}"`,
      `[[llm_backends]]\nname='a'\nendpoint='http://u:${secret}@h'`,
      `x = "${secret}`,
    ]
  ) {
    assert.throws(() => executor(toml), (error) => {
      assert.ok(error instanceof LloomError && error.code === "config_invalid");
      assert.ok(!Deno.inspect(error).includes(secret), error.message);
      return true;
    });
  }
});

Deno.test("an API key in the file and an unknown variable are warned about", () => {
  const { warnings } = executor(
    "[[llm_backends]]\nname='a'\nendpoint='https://h'\napi_key='sk-1'",
    { env: { LLOOM_LOGLEVEL: "debug", LLOOM_CONFIG_FILE: FILE, PATH: "/bin" } },
  );
  assert.equal(warnings.length, 2);
  assert.match(warnings[0]!, /api_key: a secret/);
  assert.match(warnings[1]!, /LLOOM_LOGLEVEL .* did you mean LLOOM_LOG_LEVEL\?/);
});

Deno.test("lists come from one value, from commas, and from repeated flags", () => {
  const one = "/ip4/1.2.3.4/tcp/1", two = "/ip4/1.2.3.4/tcp/2";
  const nodes = (rest: Partial<ConfigSources>) =>
    executor(`[network]\nbootstrap_nodes="${one}"`, rest).config.network.bootstrapNodes;
  assert.deepEqual(nodes({}), [one]);
  assert.deepEqual(nodes({ env: { LLOOM_BOOTSTRAP_NODES: `${one}, ${two},` } }), [one, two]);
  assert.deepEqual(nodes({ flags: { bootstrapNodes: [one, two] } }), [one, two]);
});

Deno.test("every setting's flag is looked for under the name that commander gives it", () => {
  for (const { table } of [CLIENT_SETTINGS, EXECUTOR_SETTINGS, VALIDATOR_SETTINGS]) {
    for (const [, { flag }] of singleSettings(table as unknown as Record<string, AnyNode>)) {
      if (flag === undefined) continue;
      assert.equal(flagName(flag), new Option(flag).attributeName(), flag);
    }
  }
});

Deno.test("no two settings of a role share a variable or a flag", () => {
  for (const { table } of [CLIENT_SETTINGS, EXECUTOR_SETTINGS, VALIDATOR_SETTINGS]) {
    const all = [...singleSettings(table as unknown as Record<string, AnyNode>)];
    const flags = all.flatMap(([, { flag }]) => (flag === undefined ? [] : [flagName(flag)]));
    const names = all.flatMap(([, { env }]) => env ?? []);
    assert.equal(new Set(flags).size, flags.length);
    assert.equal(new Set(names).size, names.length);
  }
});

Deno.test("any text as a file, variable or flag ends in a configuration or config_invalid", () => {
  const key = fc.constantFrom("network", "port", "llm_backends", "pricing", "models", "__proto__");
  const toml = fc.array(
    fc.tuple(
      key,
      key,
      fc.oneof(fc.string().map((s) => JSON.stringify(s)), fc.integer().map(String)),
    ),
    { maxLength: 4 },
  ).map((rows) => rows.map(([a, b, value]) => `${a}.${b} = ${value}`).join("\n"));
  fc.assert(
    fc.property(fc.oneof(toml, fc.string()), fc.string(), fc.string(), (text, env, flag) => {
      try {
        executor(text, { env: { LLOOM_CHAIN_ID: env }, flags: { port: flag } });
      } catch (error) {
        assert.ok(error instanceof LloomError, String(error));
        assert.equal(error.code, "config_invalid");
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("a node can listen through relays alone", () => {
  const { config } = executor("[network]\nlisten_addresses = ['/p2p-circuit']");
  assert.deepEqual(config.network.listenAddresses, ["/p2p-circuit"]);
});

function client(toml: string, rest: Partial<ConfigSources> = {}): ClientConfig {
  const file = { path: FILE, text: toml };
  return resolveConfig(CLIENT_SETTINGS, { file, env: {}, flags: {}, ...rest }).config;
}

Deno.test("a chain has endpoints, and must say its number", () => {
  const url = "http://127.0.0.1:8545";
  assert.deepEqual(client("").blockchain.rpcUrls, []);
  const { blockchain } = client(`[blockchain]\nrpc_url = "${url}"\nchain_id = 31337`, {
    flags: { rpcUrl: [url, "wss://rpc.example/key"] },
  });
  assert.deepEqual(blockchain.rpcUrls, [url, "wss://rpc.example/key"]);
  assert.equal(blockchain.contractAddress, LLOOM_CHANNELS_ADDRESS);
  assert.equal(blockchain.asset, ZERO_ADDRESS);
  refused(() => client(`[blockchain]\nrpc_urls = ["${url}"]`), "blockchain.chain_id");
  refused(() => client(`[blockchain]\nrpc_urls = ["ftp://h"]\nchain_id = 1`), "rpc_urls");
  refused(() => client(`[blockchain]\nasset = "0x12"`), "blockchain.asset");
});

Deno.test("amounts are text, so that no decimal of them is lost", () => {
  const { payments } = client(`[payments]\nbudget_day = "0.30000000000000000001"`, {
    flags: { maxPrice: "0.001" },
  });
  assert.equal(payments.budgetDay, "0.30000000000000000001");
  assert.equal(payments.maxPrice, "0.001");
  for (const bad of ["0.3", "-1", "'-1'", "'1e3'", "'.5'", "'1 ETH'", "''"]) {
    refused(() => client(`[payments]\nbudget_day = ${bad}`), "payments.budget_day", "as text");
  }
});

Deno.test("money is not locked for longer than its owner allows", () => {
  refused(
    () => client("[payments]\nclose_delay = 86400\nmax_close_delay = 3600"),
    "payments.close_delay",
  );
  refused(() => executor("[payments]\nmin_close_delay = 60"), "from 900 to 2592000");
});
