/** A faucet as a process, with a chain and a mail server that end with it. @module */
import { deployContracts } from "@lloom/contracts/deploy";
import { generateIdentity, type Identity } from "@lloom/core/identity";
import { writeKeyFile } from "@lloom/host";
import { join } from "node:path";
import { FUNDED_KEY, startAnvil } from "./anvil.ts";
import { type Child, startDeno } from "./child_process.ts";
import { MailServer } from "./mail_server.ts";
import { kill, readyOf, roleArguments } from "./network.ts";
import { RpcProxy } from "./rpc_proxy.ts";

/** How long a payment may take on a busy machine. */
const PATIENCE_MS = 45_000;

/** What an empty account is filled up with. */
export const TARGET = 5n * 10n ** 16n;

/** See the module. */
export class FaucetPlace implements AsyncDisposable {
  readonly identity: Identity = generateIdentity();
  readonly #stack = new AsyncDisposableStack();
  #child: Child | undefined;
  url = "";

  private constructor(
    readonly dir: string,
    readonly rpc: RpcProxy,
    readonly mail: MailServer,
  ) {}

  /** Starts chain and mail server, with money in the faucet's account; undefined without anvil. */
  static async open(): Promise<FaucetPlace | undefined> {
    const anvil = await startAnvil();
    if (anvil === undefined) return undefined;
    const stack = new AsyncDisposableStack();
    stack.use(anvil);
    await deployContracts({ rpcUrl: anvil.rpcUrl, privateKey: FUNDED_KEY });
    const rpc = stack.use(new RpcProxy(anvil.rpcUrl));
    const mail = stack.use(await MailServer.start());
    const dir = await Deno.makeTempDir({ prefix: "lloom-faucet-" });
    stack.defer(() => Deno.remove(dir, { recursive: true }));
    const place = new FaucetPlace(dir, rpc, mail);
    place.#stack.use(stack);
    writeKeyFile(join(dir, "identity.key"), place.identity);
    await place.fund(10n ** 20n);
    return place;
  }

  async fund(amount: bigint): Promise<void> {
    await this.rpc.ask("anvil_setBalance", this.identity.address, `0x${amount.toString(16)}`);
  }

  /** Starts the faucet, or starts it again. @param without a flag of its manifest that it lacks */
  async start(args: readonly string[] = [], without?: string): Promise<Child> {
    const child = startDeno([
      ...roleArguments("faucet", this.dir).filter((flag) => flag.split("=", 1)[0] !== without),
      ...["--format", "json", "--port", "0", "--log-level", "trace"],
      ...["--rpc-url", this.rpc.rpcUrl, "--chain-id", "31337", "--stop-with-stdin"],
      ...["--smtp-host", "127.0.0.1", "--smtp-port", String(this.mail.port), "--smtp-tls", "none"],
      ...["--mail-from", "faucet@lloom.test", ...args],
    ], {
      env: {
        LLOOM_DATA_DIR: this.dir,
        LLOOM_CONFIRMATIONS: "1",
        LLOOM_TRUSTED_PROXIES: "127.0.0.1",
      },
      openStdin: true,
    });
    this.#child = child;
    this.url = (await readyOf(child)).url!;
    return child;
  }

  post(path: string, fields: Record<string, string>, from = "203.0.113.1"): Promise<Response> {
    return fetch(this.url + path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-forwarded-for": from },
      body: JSON.stringify(fields),
    });
  }

  /** Asks for a token; resolves once it was taken. */
  async ask(email: string, account: string, from?: string): Promise<Response> {
    return await this.post("/request", { email, ethereum_address: account }, from);
  }

  async redeem(token: string): Promise<Record<string, string>> {
    return await (await this.post("/redeem", { token })).json();
  }

  /** Redeems until it is paid. */
  async paid(token: string): Promise<Record<string, string>> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const payout = await this.redeem(token);
      if (payout["state"] !== "pending" || Date.now() > deadline) return payout;
    }
  }

  async balance(account: string): Promise<bigint> {
    return BigInt(await this.rpc.ask("eth_getBalance", account, "latest") as string);
  }

  /** Transactions that the faucet's account ever executed. */
  async sent(): Promise<number> {
    return Number(await this.rpc.ask("eth_getTransactionCount", this.identity.address, "latest"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child !== undefined) {
      kill(this.#child, "SIGKILL");
      await this.#child.ended;
    }
    await this.#stack.disposeAsync();
  }
}
