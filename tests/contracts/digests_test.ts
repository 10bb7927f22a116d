import assert from "node:assert/strict";
import { deployContracts } from "@lloom/contracts/deploy";
import { minedReceipt } from "@lloom/contracts/mined_receipt";
import { toHex } from "@lloom/core/bytes";
import {
  createTypedDataHasher,
  FREE_DOMAIN,
  type MessageType,
  noblePrimitives,
  type SigningDomain,
} from "@lloom/core/signing";
import fc from "fast-check";
import {
  type Abi,
  createTestClient,
  hashTypedData,
  http,
  publicActions,
  walletActions,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { compile, readArtifact } from "../../scripts/contracts/build.ts";
import { findTool, missing } from "../../scripts/contracts/toolchain.ts";
import { FUNDED_KEY, startAnvil } from "../support/anvil.ts";
import { type AnyMessage, forViem, messages } from "../support/messages.ts";
import { LLOOM_CHANNELS_ABI } from "@lloom/contracts";

const ready = await findTool("anvil") !== undefined && await findTool("forge") !== undefined;

/** The function of `contracts/test/Hashes.sol` that hashes a message, and its arguments. */
function solidityCall({ type, message }: AnyMessage): readonly [string, readonly unknown[]] {
  switch (type) {
    case "ChannelTerms":
      return ["channelTerms", [message]];
    case "ChannelOpen":
      return ["channelOpen", [message.channelId, message.amount, message.deadline]];
    case "Voucher":
      return ["voucher", [message.channelId, message]];
    case "CloseConsent":
      return ["closeConsent", [message.channelId, message.finalAmount, message.deadline]];
    case "LlmRequestCommitment":
      return ["request", [message]];
    case "LlmResponseCommitment":
      return ["response", [message]];
    case "ExecutorAnnouncement":
      throw new TypeError("no contract knows announcements");
  }
}

Deno.test({
  name: `Solidity, viem and our encoder agree on every digest, on a chain${
    ready ? "" : `: ${missing("anvil")}`
  }`,
  ignore: !ready,
  fn: async () => {
    await using anvil = await startAnvil();
    assert.ok(anvil !== undefined);
    const { rpcUrl } = anvil;
    const { contracts } = await deployContracts({ rpcUrl, privateKey: FUNDED_KEY });
    await compile("test/Hashes.sol");
    const { abi, bytecode } = await readArtifact("test/Hashes.sol", "Hashes");
    const client = createTestClient({
      mode: "anvil",
      chain: foundry,
      transport: http(rpcUrl, { batch: true }),
      account: privateKeyToAccount(FUNDED_KEY),
    }).extend(publicActions).extend(walletActions);
    const hash = await client.deployContract({ abi: abi as Abi, bytecode: bytecode.object });
    const { contractAddress } = await minedReceipt(client, hash);
    assert.ok(contractAddress !== null && contractAddress !== undefined);
    const read = (functionName: string, args: readonly unknown[]) =>
      client.readContract({ address: contractAddress, abi: abi as Abi, functionName, args });

    const domain: SigningDomain = {
      ...FREE_DOMAIN,
      chainId: BigInt(foundry.id),
      verifyingContract: contracts.LloomChannels.address,
    };
    const hasher = createTypedDataHasher(noblePrimitives.keccak256, domain);
    const separator = await client.readContract({
      address: contracts.LloomChannels.address,
      abi: LLOOM_CHANNELS_ABI,
      functionName: "domainSeparator",
    });
    assert.equal(separator, toHex(hasher.domainSeparator));

    const seen = new Set<MessageType>();
    const onChain = messages.filter(({ type }) => type !== "ExecutorAnnouncement");
    await fc.assert(
      fc.asyncProperty(fc.array(onChain, { minLength: 20, maxLength: 20 }), async (items) => {
        await Promise.all(items.map(async (item) => {
          seen.add(item.type);
          const ours = hasher.hashStruct(item.type, item.message);
          assert.equal(await read(...solidityCall(item)), toHex(ours), item.type);
          const digest = toHex(hasher.digest(item.type, item.message));
          assert.equal(await read("digest", [separator, toHex(ours)]), digest);
          assert.equal(hashTypedData(forViem(domain, item)), digest);
        }));
      }),
      { numRuns: 30 },
    );
    assert.equal(seen.size, 6);
  },
});
