/** A chain with the payment contracts, a client, an executor and signed vouchers. @module */
import { LLOOM_CHANNELS_ABI, LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { minedReceipt } from "@lloom/contracts/mined_receipt";
import { deployContracts } from "@lloom/contracts/deploy";
import { type Address, type Hash, type Hex, toHex, ZERO_ADDRESS } from "@lloom/core/bytes";
import {
  type ChannelTerms,
  type CompactSignature,
  createTypedDataHasher,
  FREE_DOMAIN,
  type Messages,
  type MessageType,
  noblePrimitives,
  type SigningDomain,
  toCompactSignature,
  type TypedDataHasher,
  type Voucher,
} from "@lloom/core/signing";
import {
  type ContractFunctionArgs,
  type ContractFunctionName,
  createTestClient,
  encodeFunctionData,
  http,
  parseEther,
  publicActions,
  type TransactionReceipt,
  walletActions,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { type Anvil, FUNDED_KEY, startAnvil } from "./anvil.ts";

type Abi = typeof LLOOM_CHANNELS_ABI;
type Write = ContractFunctionName<Abi, "payable" | "nonpayable">;

/** One who takes part, by its key. */
export class Party {
  readonly address: Address;

  constructor(readonly key: Hex) {
    this.address = privateKeyToAccount(key).address.toLowerCase() as Address;
  }
}

/** A voucher as `redeem` takes it. */
export interface Redemption extends CompactSignature {
  readonly terms: ChannelTerms;
  readonly voucher: Omit<Voucher, "channelId">;
}

const client = (rpcUrl: string) =>
  createTestClient({ mode: "anvil", chain: foundry, transport: http(rpcUrl), pollingInterval: 10 })
    .extend(publicActions).extend(walletActions);

/** See the module. */
export class PaymentChain implements AsyncDisposable {
  readonly payer: Party = new Party(`0x${"c1".repeat(32)}`);
  readonly executor: Party = new Party(`0x${"e8".repeat(32)}`);
  /** Signs vouchers for the payer. */
  readonly signer: Party = new Party(`0x${"51".repeat(32)}`);
  readonly hasher: TypedDataHasher;
  readonly rpc: ReturnType<typeof client>;
  readonly #anvil: Anvil;

  /** Where the chain answers. */
  get rpcUrl(): string {
    return this.#anvil.rpcUrl;
  }

  private constructor(anvil: Anvil) {
    this.#anvil = anvil;
    this.rpc = client(anvil.rpcUrl);
    const domain: SigningDomain = {
      ...FREE_DOMAIN,
      chainId: BigInt(foundry.id),
      verifyingContract: LLOOM_CHANNELS_ADDRESS,
    };
    this.hasher = createTypedDataHasher(noblePrimitives.keccak256, domain);
  }

  /** Starts a chain and deploys to it; undefined on a machine without anvil. */
  static async start(): Promise<PaymentChain | undefined> {
    const anvil = await startAnvil();
    if (anvil === undefined) return undefined;
    await deployContracts({ rpcUrl: anvil.rpcUrl, privateKey: FUNDED_KEY });
    const chain = new PaymentChain(anvil);
    for (const { address } of [chain.payer, chain.executor]) {
      await chain.rpc.setBalance({ address, value: parseEther("1000") });
    }
    return chain;
  }

  /** Terms of a channel from the payer to the executor in native coin. */
  terms(salt: bigint): ChannelTerms {
    return {
      client: this.payer.address,
      executor: this.executor.address,
      asset: ZERO_ADDRESS,
      signer: this.signer.address,
      closeDelay: 3600,
      salt,
    };
  }

  channelId(terms: ChannelTerms): Hash {
    return toHex(this.hasher.hashStruct("ChannelTerms", terms));
  }

  /** 65 bytes, as nodes exchange them. */
  sign<T extends MessageType>(party: Party, type: T, message: Messages[T]): Uint8Array {
    return noblePrimitives.sign(
      this.hasher.digest(type, message),
      Uint8Array.fromHex(party.key.slice(2)),
    );
  }

  /** A voucher as it comes after some requests of 57 and 913 tokens. */
  redemption(terms: ChannelTerms, cumulativeAmount: bigint, requests: bigint): Redemption {
    const voucher = {
      cumulativeAmount,
      requests,
      inboundTokens: requests * 57n,
      outboundTokens: requests * 913n,
      receiptsRoot: toHex(noblePrimitives.keccak256(new TextEncoder().encode(`${requests}`))),
    };
    const message = { ...voucher, channelId: this.channelId(terms) };
    return { terms, voucher, ...toCompactSignature(this.sign(this.signer, "Voucher", message)) };
  }

  /** Calls the contract in a transaction. @throws if it is reverted */
  async send<F extends Write>(
    from: Party,
    functionName: F,
    args: ContractFunctionArgs<Abi, "payable" | "nonpayable", F>,
    value: bigint = 0n,
  ): Promise<TransactionReceipt> {
    // The two generic types agree, which TypeScript cannot see.
    const call = { abi: LLOOM_CHANNELS_ABI, functionName, args } as Parameters<
      typeof encodeFunctionData<Abi, Write>
    >[0];
    const hash = await this.rpc.sendTransaction({
      account: privateKeyToAccount(from.key),
      to: LLOOM_CHANNELS_ADDRESS,
      data: encodeFunctionData(call),
      value,
    });
    return await minedReceipt(this.rpc, hash);
  }

  /** What an account may withdraw, in wei. */
  credit({ address }: Pick<Party, "address">): Promise<bigint> {
    return this.rpc.readContract({
      address: LLOOM_CHANNELS_ADDRESS,
      abi: LLOOM_CHANNELS_ABI,
      functionName: "balanceOf",
      args: [ZERO_ADDRESS, address],
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#anvil.stop();
  }
}
