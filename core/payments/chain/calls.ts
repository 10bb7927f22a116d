/** What is said to the contracts, and what they say: calldata, results, reverts. @module */
import { LLOOM_CHANNELS_ABI } from "@lloom/contracts";
import type { ContractFunctionArgs, ContractFunctionName } from "viem";
import { decodeErrorResult, decodeFunctionResult, encodeFunctionData, parseAbi } from "viem/utils";
import type { Address, Hash, Hex } from "../../bytes.ts";
import { LloomError } from "../../errors.ts";
import type { SignedVoucher } from "../../ports.ts";
import { toCompactSignature, toEthereumSignature } from "../../signing/ethereum_signature.ts";
import type { ChannelTerms, CloseConsent } from "../../signing/typed_data.ts";
import type { Amount } from "../amounts.ts";
import type { ChannelView } from "../channel.ts";
import type { Call } from "./ports.ts";
import { RpcError } from "./rpc.ts";

const TOKEN_ABI = parseAbi([
  "function balanceOf(address account) view returns (uint256)",
  "function allowance(address owner, address spender) view returns (uint256)",
  "function approve(address spender, uint256 amount)",
  "function symbol() view returns (string)",
  "function decimals() view returns (uint8)",
]);

type Write = ContractFunctionName<typeof LLOOM_CHANNELS_ABI, "payable" | "nonpayable">;

function encode<F extends Write>(
  functionName: F,
  args: ContractFunctionArgs<typeof LLOOM_CHANNELS_ABI, "payable" | "nonpayable", F>,
): Hex {
  // The two generic types agree, which TypeScript cannot see.
  const call = { abi: LLOOM_CHANNELS_ABI, functionName, args } as Parameters<
    typeof encodeFunctionData<typeof LLOOM_CHANNELS_ABI, Write>
  >[0];
  return encodeFunctionData(call);
}

/** A voucher, and the terms of its channel. */
export interface Redeemable {
  /** The channel's terms. */
  readonly terms: ChannelTerms;
  /** Its newest voucher. */
  readonly signed: SignedVoucher;
}

function redemption({ terms, signed }: Redeemable) {
  return { terms, voucher: signed.voucher, ...toCompactSignature(signed.signature) };
}

/** The transactions of payment channels, for one contract. */
export class ChannelCalls {
  /** Where `LloomChannels` is. */
  readonly contract: Address;

  /** The calls of one contract. */
  constructor(contract: Address) {
    this.contract = contract;
  }

  #call(data: Hex, value: Amount = 0n): Call {
    return { to: this.contract, data, value };
  }

  /** Credits an account; tokens must be allowed to be pulled before. */
  deposit(asset: Address, account: Address, amount: Amount, value: Amount): Call {
    return this.#call(encode("deposit", [asset, account, amount]), value);
  }

  /** Pays out of the sender's credit. */
  withdraw(asset: Address, to: Address, amount: Amount): Call {
    return this.#call(encode("withdraw", [asset, to, amount]));
  }

  /** Opens a channel with the value, or, if that is zero, out of the sender's credit. */
  open(terms: ChannelTerms, amount: Amount, value: Amount): Call {
    return this.#call(encode("open", [terms, amount]), value);
  }

  /** Opens a channel with tokens that were allowed to be pulled. */
  openPull(terms: ChannelTerms, amount: Amount): Call {
    return this.#call(encode("openPull", [terms, amount]));
  }

  /** Adds the value to a channel, or, if that is zero, something of the sender's credit. */
  topUp(terms: ChannelTerms, amount: Amount, value: Amount): Call {
    return this.#call(encode("topUp", [terms, amount]), value);
  }

  /** Starts the delay before a channel may be finalized. */
  requestClose(terms: ChannelTerms): Call {
    return this.#call(encode("requestClose", [terms]));
  }

  /** Ends a channel whose delay is over. */
  finalize(terms: ChannelTerms): Call {
    return this.#call(encode("finalize", [terms]));
  }

  /** Ends a channel at once as its executor agreed. */
  closeWithConsent(
    terms: ChannelTerms,
    consent: Pick<CloseConsent, "finalAmount" | "deadline">,
    signature: Uint8Array,
  ): Call {
    const { finalAmount, deadline } = consent;
    const args = [terms, finalAmount, deadline, toEthereumSignature(signature)] as const;
    return this.#call(encode("closeWithConsent", args));
  }

  /** Redeems vouchers; such as pay nothing are skipped. */
  redeemMany(items: readonly Redeemable[]): Call {
    return this.#call(encode("redeemMany", [items.map(redemption)]));
  }

  /** Redeems a channel's last voucher and ends it. */
  redeemAndClose(item: Redeemable): Call {
    return this.#call(encode("redeemAndClose", [redemption(item)]));
  }

  /** Allows the contract to pull tokens of the sender. */
  approve(asset: Address, amount: Amount): Call {
    const data = encodeFunctionData({
      abi: TOKEN_ABI,
      functionName: "approve",
      args: [this.contract, amount],
    });
    return { to: asset, data, value: 0n };
  }
}

/** A question to a contract, and how its answer is read. */
export interface Query<T> {
  /** The question's data. */
  readonly data: Hex;
  /** Reads the answer. @throws {Error} if it is no answer to it */
  read(result: Hex): T;
}

/** How a channel is asked for. */
export function channelQuery(id: Hash): Query<ChannelView> {
  const functionName = "channel";
  return {
    data: encodeFunctionData({ abi: LLOOM_CHANNELS_ABI, functionName, args: [id] }),
    read(data): ChannelView {
      const view = decodeFunctionResult({ abi: LLOOM_CHANNELS_ABI, functionName, data });
      const status = (["none", "open", "closing", "closed"] as const)[view.status];
      if (status === undefined) throw new TypeError("read channel: unknown status");
      return { ...view, status };
    },
  };
}

/** How an account's credit in the contract is asked for. */
export function creditQuery(asset: Address, account: Address): Query<Amount> {
  const functionName = "balanceOf";
  return {
    data: encodeFunctionData({ abi: LLOOM_CHANNELS_ABI, functionName, args: [asset, account] }),
    read: (data) => decodeFunctionResult({ abi: LLOOM_CHANNELS_ABI, functionName, data }),
  };
}

/** How an account's tokens are asked for. */
export function tokenBalanceQuery(account: Address): Query<Amount> {
  const functionName = "balanceOf";
  return {
    data: encodeFunctionData({ abi: TOKEN_ABI, functionName, args: [account] }),
    read: (data) => decodeFunctionResult({ abi: TOKEN_ABI, functionName, data }),
  };
}

/** How it is asked what somebody may pull. */
export function allowanceQuery(owner: Address, spender: Address): Query<Amount> {
  const functionName = "allowance";
  return {
    data: encodeFunctionData({ abi: TOKEN_ABI, functionName, args: [owner, spender] }),
    read: (data) => decodeFunctionResult({ abi: TOKEN_ABI, functionName, data }),
  };
}

/** How a token's symbol is asked for. */
export const symbolQuery: Query<string> = {
  data: encodeFunctionData({ abi: TOKEN_ABI, functionName: "symbol" }),
  read: (data) => decodeFunctionResult({ abi: TOKEN_ABI, functionName: "symbol", data }),
};

/** How a token's decimals are asked for. */
export const decimalsQuery: Query<number> = {
  data: encodeFunctionData({ abi: TOKEN_ABI, functionName: "decimals" }),
  read: (data) => decodeFunctionResult({ abi: TOKEN_ABI, functionName: "decimals", data }),
};

/**
 * What an endpoint's error says about a transaction; undefined if it says something about the endpoint.
 * There is no standard for it, but what the clients in use say.
 */
export function failureOf(error: unknown): LloomError | undefined {
  if (!(error instanceof RpcError)) return undefined;
  const { code, message, data } = error;
  if (code === 3 || /revert/i.test(message)) {
    const reason = revertReason(data);
    return new LloomError("transaction_failed", `send transaction: it would be reverted${reason}`, {
      cause: error,
    });
  }
  if (/insufficient (?:funds|balance)|out of funds|exceeds allowance/i.test(message)) {
    return new LloomError(
      "insufficient_funds",
      "send transaction: the account has less coin than it needs",
      { cause: error },
    );
  }
  return undefined;
}

/** The contract's own name for why it reverts; a token's words are not repeated. */
function revertReason(data: string | undefined): string {
  if (data === undefined || !/^0x(?:[0-9a-f]{2}){4,}$/i.test(data)) return "";
  try {
    const result = decodeErrorResult({ abi: LLOOM_CHANNELS_ABI, data: data as Hex });
    const errorName: string = result.errorName;
    if (errorName === "Error" || errorName === "Panic") return ""; // any contract's, with any words
    return ` with ${errorName}(${(result.args ?? []).map(String).join(", ")})`;
  } catch {
    return ` with ${data.slice(0, 10)}`; // not one of the contract's
  }
}
