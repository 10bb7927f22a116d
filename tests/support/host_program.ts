/** A small role that the tests of `roles/host` run as a process: it uses its parts as roles do. */
import { isErrorCode, LloomError } from "@lloom/core/errors";
import {
  createProgram,
  EXECUTOR_SETTINGS,
  generateIdentityCommand,
  loadIdentity,
  openCommand,
  print,
  printReady,
  runInterruptibly,
  runProgram,
  runUntilSignal,
} from "@lloom/host";
import { SqliteNonceStore } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["lloom", "test"]);
const settings = EXECUTOR_SETTINGS;
const program = createProgram(settings, "Exercises the host package.");
program.addCommand(generateIdentityCommand(settings));

program.command("whoami").action((_options, command) => {
  const { config } = openCommand(settings, command);
  print(`${loadIdentity(config).address}\n`);
});

program.command("log").argument("<text>").action((text, _options, command) => {
  openCommand(settings, command);
  log.info("said {text}", { text });
  log.debug("debugged");
});

program.command("fail").argument("<code>").action((code) => {
  if (isErrorCode(code)) throw new LloomError(code, "try: failed");
  throw new Error("a fault of ours");
});

program.command("crash").argument("<how>").action(async (how, _options, command) => {
  openCommand(settings, command);
  if (how === "reject") Promise.reject(new LloomError("worker_crashed", "crashed: on purpose"));
  else {queueMicrotask(() => {
      throw new Error("thrown on purpose");
    });}
  await new Promise(() => setInterval(() => {}, 1000));
});

program.command("serve").option("--stop <how>", "", "well").option("--grace <ms>", "", "10000")
  .action(async (options, command) => {
    const { format } = openCommand(settings, command);
    const graceMs = Number(options.grace);
    await runUntilSignal(
      () => {
        // What keeps a node alive, and would keep it alive after a stop that forgot it.
        setInterval(() => {}, 1000);
        printReady({
          role: "executor",
          peerId: "16Uiu2",
          address: "0xab",
          multiaddrs: ["/ip4/1.2.3.4/tcp/1"],
        }, format);
        return Promise.resolve("service");
      },
      async (service) => {
        if (options.stop === "never") {
          print("stopping\n");
          await new Promise(() => {});
        }
        if (options.stop === "badly") throw new Error("cannot stop");
        print(`stopped ${service}\n`);
      },
      { graceMs },
    );
  });

program.command("work").action(() =>
  runInterruptibly(async (signal) => {
    const aborted = new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(new Error("cut")))
    );
    setInterval(() => {}, 1000);
    print("working\n");
    await aborted;
  })
);

program.command("use-nonces").argument("<file>").argument("<count>").action(async (file, count) => {
  const store = new SqliteNonceStore({ path: file }, { clock: Date });
  const deadline = Math.floor(Date.now() / 1000) + 600;
  for (let nonce = 0; nonce < Number(count); nonce++) {
    const used = await store.use(`0x${"a1".repeat(20)}`, BigInt(nonce), deadline);
    print(`${nonce} ${used}\n`);
  }
  await new Promise(() => setInterval(() => {}, 1000));
});

Deno.exit(await runProgram(program, Deno.args));
