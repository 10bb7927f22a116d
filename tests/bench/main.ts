/**
 * All benches, or those named: `deno task bench [--json] [request] [start] [crypto] [gas] [pay] [gateway]`.
 * On the loopback interface only; about eight minutes. The figures are ratios and differences within
 * one run: those of two runs compare only if the machine did the same. With `--soak MINUTES` the
 * bench of the gateway is only that: load for so long, and what memory does.
 */
import { parseArgs } from "node:util";
import { benchCrypto, printCrypto } from "./bench_crypto.ts";
import { benchGas, printGas } from "./bench_gas.ts";
import { benchGateway, printGateway } from "./bench_gateway.ts";
import { benchPay, printPay } from "./bench_pay.ts";
import { benchRequest, printRequest } from "./bench_request.ts";
import { benchStart, printStart } from "./bench_start.ts";
import { printSoak, soakGateway } from "./soak.ts";

/** Runs a bench, and prints its result for people if they are to read it. */
type Bench = (forPeople: boolean) => Promise<unknown>;

function bench<T>(run: () => Promise<T>, print: (result: T) => void): Bench {
  return async (forPeople) => {
    const result = await run();
    if (forPeople) print(result);
    return result;
  };
}

const { values, positionals } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    soak: { type: "string" },
  },
  allowPositionals: true,
});
const soakMinutes = values.soak === undefined ? undefined : Number(values.soak);
if (soakMinutes !== undefined && !(soakMinutes > 0)) {
  throw new RangeError("run benches: --soak takes minutes");
}

const benches: Readonly<Record<string, Bench>> = {
  request: bench(benchRequest, printRequest),
  start: bench(benchStart, printStart),
  crypto: bench(benchCrypto, printCrypto),
  gas: bench(benchGas, printGas),
  pay: bench(benchPay, printPay),
  gateway: soakMinutes === undefined
    ? bench(benchGateway, printGateway)
    : bench(() => soakGateway(soakMinutes), printSoak),
};

const names = positionals.length > 0 ? positionals : Object.keys(benches);
const unknown = names.find((name) => !Object.hasOwn(benches, name));
if (unknown !== undefined) throw new RangeError(`run benches: no bench ${unknown}`);
const results: Record<string, unknown> = {};
for (const name of names) results[name] = await benches[name]!(!values.json);
if (values.json) console.log(JSON.stringify(results));
// libp2p keeps timers for some seconds after a node has stopped.
Deno.exit();
