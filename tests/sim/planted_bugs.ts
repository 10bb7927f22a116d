/**
 * Shows that the simulation bites: plants bugs in a copy of the sources, one by one, and tells which
 * seed finds each. Run as a program, it prints a table. The checkout itself is never touched.
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A bug, as a change of the sources' text. */
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  /** Occurs once. */
  readonly from: string;
  readonly to: string;
  /** The seed to begin with, for one that few seeds find. @default 1 */
  readonly firstSeed?: number;
}

/** What the simulation said about one. */
export interface Finding {
  readonly bug: PlantedBug;
  /** Absent if no seed found it. */
  readonly seed?: number;
  readonly invariant?: string;
}

const PAYMENTS = "core/payments";

/** All bugs; several of them were ours, and were found so. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "a voucher is signed before it is on disk",
    file: `${PAYMENTS}/reserved_payment.ts`,
    from: "    const payment = await this.#change((store) => store.pay(this.#id, total));\n",
    to: `    const stored = this.#change((store) => store.pay(this.#id, total));
    const { voucher, ...rest } = this.opening;
    const cumulativeAmount = (voucher?.cumulativeAmount ?? 0n) + total / 1_000_000n;
    const early = voucher && { ...voucher, cumulativeAmount };
    const payment = early ? { ...rest, paid: total, voucher: early } : await stored;
`,
  },
  {
    name: "what was under way is forgotten when a request ends",
    file: `${PAYMENTS}/buyer.ts`,
    from: "inFlight: channel.inFlight - request.paid,",
    to: "inFlight: channel.inFlight,",
  },
  {
    name: "what is reserved counts as room",
    file: `${PAYMENTS}/channel.ts`,
    from: "return toCost(deposit) - spent - reserved;",
    to: "return toCost(deposit) - spent - reserved / 1_000_000n;",
  },
  {
    name: "every request's cost is rounded",
    file: `${PAYMENTS}/buyer.ts`,
    from: "spent: channel.spent + cost,",
    to: "spent: channel.spent + toCost(toAmount(cost)),",
  },
  {
    name: "what was paid in excess is lost",
    file: `${PAYMENTS}/buyer.ts`,
    from: "...released(channel, request, cost),",
    to: "...released(channel, request, cost > request.paid ? cost : request.paid),",
  },
  {
    name: "a request is given up at its deadline, while it ends",
    file: `${PAYMENTS}/books/buyer_book.ts`,
    from: "const OVERDUE_MS = 5 * MINUTE_MS;",
    to: "const OVERDUE_MS = -MINUTE_MS;",
  },
  {
    name: "a client pays whatever is demanded",
    file: "core/session/meter.ts",
    from: ": outboundTokens > this.#textBytes",
    to: ": outboundTokens < 0",
    firstSeed: 70,
  },
  {
    name: "a voucher counts for more than it says",
    file: `${PAYMENTS}/seller.ts`,
    from: "if (toAmount(spent + inFlight) > coveredBy(change.channel)) {",
    to: "if (spent + inFlight < 0n) {",
  },
  {
    name: "more than a step is delivered unpaid",
    file: "core/session/delivery.ts",
    from: "this.#costAt(tokens) - this.#paid <= this.#terms.step;",
    to: "this.#costAt(tokens) - this.#paid <= 3n * this.#terms.step;",
  },
  {
    name: "a voucher is acknowledged before it is on disk",
    file: `${PAYMENTS}/cashier.ts`,
    from: "this.#paid = await store.pay(this.#requestHash, message, clock.now());",
    to: "store.pay(this.#requestHash, message, clock.now()).catch(() => {});\n" +
      "    this.#paid = message.paid;",
  },
  {
    name: "a receipt is sent before it is on disk",
    file: "core/net/serving.ts",
    from: "this.#tab!.settle(effect.receipt),",
    to: "(void this.#tab!.settle(effect.receipt), Promise.resolve()),",
  },
  {
    name: "that a client closes is overlooked",
    file: `${PAYMENTS}/redemptions.ts`,
    from: 'const isClosing = channel.status === "closing";',
    to: "const isClosing = false;",
  },
  {
    name: "a channel is served while its closing is on its way",
    file: `${PAYMENTS}/settler.ts`,
    from: "...closings.map((one) => this.#close(one)),",
    to: "...closings.map((one) => this.#send([one], ([item]) => redeemer.redeemAndClose(item!))),",
  },
  {
    name: "all closings have one key",
    file: `${PAYMENTS}/chain/channel_actions.ts`,
    from: "this.#submit(`redeem-close:${channelId}`, ",
    to: "this.#submit(`redeem-close`, ",
  },
  {
    name: "an execution is final as soon as it is seen",
    file: `${PAYMENTS}/chain/outbox_machine.ts`,
    from: "if (depth < BigInt(this.#options.confirmations) || seen.finalNonce <= nonce) return [];",
    to: "if (depth < 1n) return [];",
  },
  {
    name: "two wishes under way take one nonce",
    file: `${PAYMENTS}/chain/account_nonces.ts`,
    from: "while (pending.has(free)) free++;",
    to: "",
  },
];

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** What the simulation is made of. */
const COPIED = [
  "contracts/generated",
  "contracts/mod.ts",
  "contracts/deno.json",
  "core",
  "workers",
];
const WORKSPACE = ["./contracts", "./core", "./workers"];

/** Runs the simulation on a copy with one bug. @param rounds seeds at most, from its first on */
export async function find(bug: PlantedBug, rounds: number): Promise<Finding> {
  const folder = await Deno.makeTempDir({ prefix: "lloom-bug-" });
  try {
    for (const path of [...COPIED, "tests/sim"]) await copy(path, folder);
    const config = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
    const { compilerOptions, imports, nodeModulesDir, unstable } = config;
    await Deno.writeTextFile(
      join(folder, "deno.json"),
      JSON.stringify({ workspace: WORKSPACE, compilerOptions, imports, nodeModulesDir, unstable }),
    );
    await plant(bug, folder);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--allow-all", "tests/sim/main.ts", "--json"],
        ...["--seed", `${bug.firstSeed ?? 1}`, "--rounds", `${rounds}`],
      ],
      cwd: folder,
    }).output();
    const text = new TextDecoder().decode(stdout);
    if (text === "") throw new Error(`run ${bug.name}: ${new TextDecoder().decode(stderr)}`);
    const { failure } = JSON.parse(text);
    return failure === undefined
      ? { bug }
      : { bug, seed: failure.seed, invariant: failure.violation.invariant };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Changes the copy. @throws {Error} if the source does not have what is to be changed, once */
async function plant({ name, file, from, to }: PlantedBug, folder: string): Promise<void> {
  const path = join(folder, file);
  const source = await Deno.readTextFile(path);
  if (source.split(from).length !== 2) {
    throw new Error(`plant bug: ${file} has no place for: ${name}`);
  }
  await Deno.writeTextFile(path, source.replace(from, () => to));
}

async function copy(path: string, folder: string): Promise<void> {
  const { isDirectory } = await Deno.stat(join(ROOT, path));
  if (!isDirectory) {
    if (path.endsWith("_test.ts")) return;
    return await Deno.copyFile(join(ROOT, path), join(folder, path));
  }
  await Deno.mkdir(join(folder, path), { recursive: true });
  for await (const { name } of Deno.readDir(join(ROOT, path))) await copy(join(path, name), folder);
}

if (import.meta.main) {
  const rounds = Number(Deno.args[0] ?? 2000);
  for (const bug of PLANTED_BUGS) {
    const { seed, invariant } = await find(bug, rounds);
    const found = seed === undefined ? `not within ${rounds}` : `seed ${seed}: ${invariant}`;
    console.log(`${bug.name.padEnd(58)} ${found}`);
  }
}
