/**
 * Writes `eip712_vectors.json`: what viem says our signed messages hash to, for our own tests and
 * for implementations in other languages. Numbers beyond 32 bits are decimal texts.
 * Run `deno run -A tests/vectors/generate_eip712_vectors.ts` from the repository's root.
 */
import { FREE_DOMAIN, type SigningDomain, TYPES } from "@lloom/core/signing";
import { domainSeparator, hashStruct, hashTypedData } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { type AnyMessage, forViem } from "../support/messages.ts";

const PRIVATE_KEY = `0x${"11".repeat(32)}` as const;
const CHAIN_DOMAIN: SigningDomain = {
  ...FREE_DOMAIN,
  chainId: 31337n,
  verifyingContract: "0x5fbdb2315678afecb367f032d93f642f64180aa3",
};
const word = (byte: string) => `0x${byte.repeat(32)}` as const;
const account = (byte: string) => `0x${byte.repeat(20)}` as const;
const MAX_256 = 2n ** 256n - 1n;
const MAX_96 = 2n ** 96n - 1n;
const MAX_64 = 2n ** 64n - 1n;

const MESSAGES: { readonly [name: string]: AnyMessage } = {
  "request, paid": {
    type: "LlmRequestCommitment",
    message: {
      channelId: word("a1"),
      executor: account("b2"),
      model: "gpt-oss-20b",
      promptHash: word("c3"),
      systemPromptHash: word("d4"),
      maxTokens: 1024,
      temperature: 7000,
      inboundPrice: 100_000n,
      outboundPrice: 400_000n,
      nonce: 0x0123_4567_89ab_cdefn,
      deadline: 1_767_225_600n,
    },
  },
  "request, all zero": {
    type: "LlmRequestCommitment",
    message: {
      channelId: word("00"),
      executor: account("00"),
      model: "",
      promptHash: word("00"),
      systemPromptHash: word("00"),
      maxTokens: 0,
      temperature: 0,
      inboundPrice: 0n,
      outboundPrice: 0n,
      nonce: 0n,
      deadline: 0n,
    },
  },
  "request, all at its largest": {
    type: "LlmRequestCommitment",
    message: {
      channelId: word("ff"),
      executor: account("ff"),
      model: "ü模型🦙".repeat(16),
      promptHash: word("ff"),
      systemPromptHash: word("ff"),
      maxTokens: 0xffff_ffff,
      temperature: 0xffff_ffff,
      inboundPrice: MAX_256,
      outboundPrice: MAX_256,
      nonce: MAX_64,
      deadline: MAX_64,
    },
  },
  "response, complete": {
    type: "LlmResponseCommitment",
    message: {
      requestHash: word("e5"),
      client: account("f6"),
      model: "gpt-oss-20b",
      contentHash: word("07"),
      inboundTokens: 57,
      outboundTokens: 913,
      inboundPrice: 100_000n,
      outboundPrice: 400_000n,
      timestamp: 1_767_225_599n,
      success: true,
    },
  },
  "response, cut short": {
    type: "LlmResponseCommitment",
    message: {
      requestHash: word("ff"),
      client: account("ff"),
      model: "m",
      contentHash: word("ff"),
      inboundTokens: 0xffff_ffff,
      outboundTokens: 0,
      inboundPrice: MAX_256,
      outboundPrice: 2n ** 64n,
      timestamp: MAX_64,
      success: false,
    },
  },
  "announcement": {
    type: "ExecutorAnnouncement",
    message: {
      executor: account("18"),
      peerId: "16Uiu2HAm9Qm7FvXFnLqHWqfYPQu5BrMLhWQNZr2rgVFBmXs9sQFe",
      bodyHash: word("29"),
      timestamp: 1_767_225_600_000n,
      sequence: 42n,
    },
  },
  "terms of a channel": {
    type: "ChannelTerms",
    message: {
      client: account("3a"),
      executor: account("4b"),
      asset: account("5c"),
      signer: account("6d"),
      closeDelay: 86_400,
      salt: 0x0123_4567_89ab_cdef_0123_4567n,
    },
  },
  "terms of a channel, all at its largest": {
    type: "ChannelTerms",
    message: {
      client: account("ff"),
      executor: account("ff"),
      asset: account("ff"),
      signer: account("ff"),
      closeDelay: 0xffff_ffff,
      salt: MAX_96,
    },
  },
  "opening of a channel": {
    type: "ChannelOpen",
    message: { channelId: word("7e"), amount: 5_000_000n, deadline: 1_767_225_600n },
  },
  "voucher": {
    type: "Voucher",
    message: {
      channelId: word("7e"),
      cumulativeAmount: 123_456n,
      requests: 7n,
      inboundTokens: 399n,
      outboundTokens: 6391n,
      receiptsRoot: word("8f"),
    },
  },
  "voucher, all at its largest": {
    type: "Voucher",
    message: {
      channelId: word("ff"),
      cumulativeAmount: MAX_96,
      requests: MAX_64,
      inboundTokens: MAX_64,
      outboundTokens: MAX_64,
      receiptsRoot: word("ff"),
    },
  },
  "consent to close": {
    type: "CloseConsent",
    message: { channelId: word("7e"), finalAmount: 123_456n, deadline: 1_767_225_600n },
  },
};

const signer = privateKeyToAccount(PRIVATE_KEY);
const vectors = [];
for (const domain of [FREE_DOMAIN, CHAIN_DOMAIN]) {
  for (const [name, item] of Object.entries(MESSAGES)) {
    const data = forViem(domain, item);
    const { message, primaryType, types } = data;
    const signature = await signer.signTypedData(data);
    vectors.push({
      name,
      domain,
      ...item,
      domainSeparator: domainSeparator({ domain }),
      structHash: hashStruct({ data: message as Record<string, unknown>, primaryType, types }),
      digest: hashTypedData(data),
      // our signatures end with the recovery id itself, where Ethereum's have 27 or 28
      signature: signature.slice(0, -2) + (signature.endsWith("1b") ? "00" : "01"),
    });
  }
}
const file = {
  types: TYPES,
  privateKey: PRIVATE_KEY,
  signer: signer.address.toLowerCase(),
  vectors,
};
const text = JSON.stringify(file, (_, v) => typeof v === "bigint" ? String(v) : v, 2) + "\n";
await Deno.writeTextFile(new URL("./eip712_vectors.json", import.meta.url), text);
