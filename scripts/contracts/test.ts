/**
 * Tests the contracts: `deno task contracts:test [--thorough] [--update-gas] [--coverage]`, and
 * further arguments of `forge test`.
 * @module
 */
import { type ForgeResult, missing, runForge } from "./toolchain.ts";

/** One run of forge, and what it is to show. */
export interface Check {
  readonly name: string;
  readonly run: (show: boolean) => Promise<ForgeResult | undefined>;
}

/** Everything that must hold of the contracts. */
export function checks(options: {
  /** Many more runs of fuzz and invariant tests. @default false */
  readonly thorough?: boolean;
  /** Writes the gas figures instead of comparing them. @default false */
  readonly updateGas?: boolean;
  /** Arguments of `forge test`. */
  readonly arguments?: readonly string[];
} = {}): readonly Check[] {
  const profile = { FOUNDRY_PROFILE: options.thorough === true ? "thorough" : "default" };
  const check = (name: string, args: readonly string[], env: Record<string, string> = {}) => ({
    name,
    run: (show: boolean) => runForge(args, { env: { ...profile, ...env }, show }),
  });
  return [
    check("contracts are formatted", ["fmt", "--check"]),
    check("contracts are free of lint", ["lint", "--deny", "notes"]),
    check(
      "contracts pass unit, fuzz and invariant tests, and cost the gas in contracts/snapshots",
      ["test", ...options.arguments ?? []],
      options.updateGas === true ? {} : { FORGE_SNAPSHOT_CHECK: "true" },
    ),
  ];
}

/** Shows how much of the contracts the tests reach. */
function coverage(): Promise<ForgeResult | undefined> {
  return runForge(
    ["coverage", "--no-match-contract", "GasTest", "--no-match-coverage", "test/|openzeppelin"],
    { show: true },
  );
}

if (import.meta.main) {
  const own = new Set(["--thorough", "--update-gas", "--coverage"]);
  const named = new Set(Deno.args.filter((argument) => own.has(argument)));
  const runs = named.has("--coverage") ? [coverage] : checks({
    thorough: named.has("--thorough"),
    updateGas: named.has("--update-gas"),
    arguments: Deno.args.filter((argument) => !own.has(argument)),
  }).map((check) => () => check.run(true));
  for (const run of runs) {
    const result = await run();
    if (result === undefined) {
      console.log(`skipped: ${missing("forge")}`);
      break;
    }
    if (result.code !== 0) Deno.exit(result.code);
  }
}
