// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ChannelTerms, LlmRequestCommitment, LlmResponseCommitment, TypedData, Voucher} from "../src/TypedData.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice The hashes of `TypedData`, for tests here and in TypeScript.
contract Hashes {
    function channelTerms(ChannelTerms calldata terms) external pure returns (bytes32) {
        return TypedData.hashChannelTerms(terms);
    }

    function channelOpen(bytes32 channelId, uint96 amount, uint64 deadline) external pure returns (bytes32) {
        return TypedData.hashChannelOpen(channelId, amount, deadline);
    }

    function voucher(bytes32 channelId, Voucher calldata voucher_) external pure returns (bytes32) {
        return TypedData.hashVoucher(channelId, voucher_);
    }

    function closeConsent(bytes32 channelId, uint96 finalAmount, uint64 deadline) external pure returns (bytes32) {
        return TypedData.hashCloseConsent(channelId, finalAmount, deadline);
    }

    function request(LlmRequestCommitment calldata request_) external pure returns (bytes32) {
        return TypedData.hashRequest(request_);
    }

    function response(LlmResponseCommitment calldata response_) external pure returns (bytes32) {
        return TypedData.hashResponse(response_);
    }

    function digest(bytes32 domainSeparator, bytes32 structHash) external pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domainSeparator, structHash);
    }
}
