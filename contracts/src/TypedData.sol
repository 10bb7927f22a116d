// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @notice What identifies a channel for ever. It is not stored: every call brings it along.
/// @param client Who pays; gets back what is not spent.
/// @param executor Who is paid.
/// @param asset ERC-20 token; zero for the chain's native coin.
/// @param signer Key that signs vouchers: an externally owned account, often a hot key of the client.
/// @param closeDelay Seconds between the client's request to close and the end.
/// @param salt Tells apart channels that are alike in all else.
struct ChannelTerms {
    address client;
    address executor;
    address asset;
    address signer;
    uint32 closeDelay;
    uint96 salt;
}

/// @notice Promise of payment for all that was served on a channel so far. The newest one covers all before.
/// @param cumulativeAmount Base units of the asset since the channel was opened.
/// @param requests Requests served since then.
/// @param inboundTokens Tokens of prompts since then.
/// @param outboundTokens Tokens of answers since then.
/// @param receiptsRoot Append-only Merkle root over the receipts acknowledged.
struct Voucher {
    uint96 cumulativeAmount;
    uint64 requests;
    uint64 inboundTokens;
    uint64 outboundTokens;
    bytes32 receiptsRoot;
}

/// @notice What a client asks of one executor, and on what terms.
/// @param channelId Payment channel; zero for a free request.
/// @param executor Who is asked.
/// @param model As the executor announced it.
/// @param promptHash Salted hash of the request's exact bytes.
/// @param systemPromptHash Salted hash of the system prompt; zero without one.
/// @param maxTokens The most tokens of answer that the client pays for.
/// @param temperature Times 10,000.
/// @param inboundPrice Base units per 1,000,000 tokens of prompt.
/// @param outboundPrice Base units per 1,000,000 tokens of answer.
/// @param nonce Any number that the client has not used before the deadline.
/// @param deadline Unix seconds.
struct LlmRequestCommitment {
    bytes32 channelId;
    address executor;
    string model;
    bytes32 promptHash;
    bytes32 systemPromptHash;
    uint32 maxTokens;
    uint32 temperature;
    uint256 inboundPrice;
    uint256 outboundPrice;
    uint64 nonce;
    uint64 deadline;
}

/// @notice What an executor delivered: the receipt.
/// @param requestHash hashStruct of the request.
/// @param client Who signed the request.
/// @param model As in the request.
/// @param contentHash Hash of all delivered bytes.
/// @param inboundTokens Tokens of prompt.
/// @param outboundTokens Tokens of answer.
/// @param inboundPrice As in the request.
/// @param outboundPrice As in the request.
/// @param timestamp Unix seconds.
/// @param success False for an answer that was cut short.
struct LlmResponseCommitment {
    bytes32 requestHash;
    address client;
    string model;
    bytes32 contentHash;
    uint32 inboundTokens;
    uint32 outboundTokens;
    uint256 inboundPrice;
    uint256 outboundPrice;
    uint64 timestamp;
    bool success;
}

/// @title EIP-712 struct hashes of Lloom's messages
/// @notice The types are those of core/signing/typed_data.ts; a test compares the hashes.
library TypedData {
    /// @notice Name in the EIP-712 domain.
    string internal constant DOMAIN_NAME = "Lloom Network";
    /// @notice Version in the EIP-712 domain.
    string internal constant DOMAIN_VERSION = "1.0.0";

    bytes32 internal constant CHANNEL_TERMS_TYPEHASH = keccak256(
        "ChannelTerms(address client,address executor,address asset,address signer,uint32 closeDelay,uint96 salt)"
    );
    bytes32 internal constant CHANNEL_OPEN_TYPEHASH =
        keccak256("ChannelOpen(bytes32 channelId,uint96 amount,uint64 deadline)");
    bytes32 internal constant VOUCHER_TYPEHASH = keccak256(
        "Voucher(bytes32 channelId,uint96 cumulativeAmount,uint64 requests,uint64 inboundTokens,uint64 outboundTokens,bytes32 receiptsRoot)"
    );
    bytes32 internal constant CLOSE_CONSENT_TYPEHASH =
        keccak256("CloseConsent(bytes32 channelId,uint96 finalAmount,uint64 deadline)");
    bytes32 internal constant REQUEST_TYPEHASH = keccak256(
        "LlmRequestCommitment(bytes32 channelId,address executor,string model,bytes32 promptHash,bytes32 systemPromptHash,uint32 maxTokens,uint32 temperature,uint256 inboundPrice,uint256 outboundPrice,uint64 nonce,uint64 deadline)"
    );
    bytes32 internal constant RESPONSE_TYPEHASH = keccak256(
        "LlmResponseCommitment(bytes32 requestHash,address client,string model,bytes32 contentHash,uint32 inboundTokens,uint32 outboundTokens,uint256 inboundPrice,uint256 outboundPrice,uint64 timestamp,bool success)"
    );

    /// @notice Hash of a channel's terms: the channel's id.
    function hashChannelTerms(ChannelTerms calldata terms) internal pure returns (bytes32) {
        return keccak256(abi.encode(CHANNEL_TERMS_TYPEHASH, terms));
    }

    /// @notice Hash of the client's permission to open a channel in its name.
    function hashChannelOpen(bytes32 channelId, uint96 amount, uint64 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(CHANNEL_OPEN_TYPEHASH, channelId, amount, deadline));
    }

    /// @notice Hash of a voucher for one channel.
    function hashVoucher(bytes32 channelId, Voucher calldata voucher) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, voucher));
    }

    /// @notice Hash of the executor's consent to close a channel at once.
    function hashCloseConsent(bytes32 channelId, uint96 finalAmount, uint64 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(CLOSE_CONSENT_TYPEHASH, channelId, finalAmount, deadline));
    }

    /// @notice Hash of a request.
    /// @dev In two halves, because all fields at once exceed the stack.
    function hashRequest(LlmRequestCommitment calldata request) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    REQUEST_TYPEHASH,
                    request.channelId,
                    request.executor,
                    keccak256(bytes(request.model)),
                    request.promptHash,
                    request.systemPromptHash
                ),
                abi.encode(
                    request.maxTokens,
                    request.temperature,
                    request.inboundPrice,
                    request.outboundPrice,
                    request.nonce,
                    request.deadline
                )
            )
        );
    }

    /// @notice Hash of a receipt.
    /// @dev In two halves, because all fields at once exceed the stack.
    function hashResponse(LlmResponseCommitment calldata response) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    RESPONSE_TYPEHASH,
                    response.requestHash,
                    response.client,
                    keccak256(bytes(response.model)),
                    response.contentHash,
                    response.inboundTokens
                ),
                abi.encode(
                    response.outboundTokens,
                    response.inboundPrice,
                    response.outboundPrice,
                    response.timestamp,
                    response.success
                )
            )
        );
    }
}
