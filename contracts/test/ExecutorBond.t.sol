// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CompactSignature, ExecutorBond} from "../src/ExecutorBond.sol";
import {LloomChannels} from "../src/LloomChannels.sol";
import {LlmRequestCommitment, LlmResponseCommitment} from "../src/TypedData.sol";
import {Base} from "./Base.sol";
import {vm} from "./Vm.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice What costs an executor its stake, and what does not.
contract ExecutorBondTest is Base {
    ExecutorBond private bond;

    function setUp() public override {
        super.setUp();
        bond = new ExecutorBond(channels);
        vm.deal(EXECUTOR, 100 ether);
        vm.prank(EXECUTOR);
        bond.stake{value: 10 ether}();
    }

    function test_stakeGrowsAndReturnsAfterTheDelay() public {
        vm.startPrank(EXECUTOR);
        vm.expectEmit(address(bond));
        emit ExecutorBond.Staked(EXECUTOR, 15 ether);
        bond.stake{value: 5 ether}();
        vm.expectRevert(abi.encodeWithSelector(ExecutorBond.NotReleasable.selector, 0));
        bond.unstake(payable(STRANGER));
        uint64 releasableAt = START + 7 days;
        vm.expectEmit(address(bond));
        emit ExecutorBond.UnstakeRequested(EXECUTOR, releasableAt);
        bond.requestUnstake();
        vm.expectRevert(ExecutorBond.AlreadyRequested.selector);
        bond.requestUnstake();
        vm.warp(releasableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(ExecutorBond.NotReleasable.selector, releasableAt));
        bond.unstake(payable(STRANGER));
        vm.warp(releasableAt);
        vm.expectRevert(ExecutorBond.ZeroAddress.selector);
        bond.unstake(payable(address(0)));
        bond.unstake(payable(STRANGER));
        eq(STRANGER.balance, 15 ether);
        vm.expectRevert(ExecutorBond.NothingStaked.selector);
        bond.unstake(payable(STRANGER));
        vm.expectRevert(ExecutorBond.NothingStaked.selector);
        bond.requestUnstake();
        vm.expectRevert(ExecutorBond.ZeroAmount.selector);
        bond.stake();
    }

    function test_stakingMoreTakesTheRequestBack() public {
        vm.startPrank(EXECUTOR);
        bond.requestUnstake();
        bond.stake{value: 1}();
        vm.warp(START + 365 days);
        vm.expectRevert(abi.encodeWithSelector(ExecutorBond.NotReleasable.selector, 0));
        bond.unstake(payable(EXECUTOR));
    }

    function test_overclaimedTokensAndOtherPricesCostTheStake() public {
        for (uint256 i = 0; i < 3; ++i) {
            setUp();
            vm.deal(bond.BURNED(), 0);
            vm.deal(STRANGER, 0);
            LlmRequestCommitment memory request = requestOf();
            LlmResponseCommitment memory response = responseTo(request);
            if (i == 0) response.outboundTokens = request.maxTokens + 1;
            if (i == 1) response.inboundPrice++;
            if (i == 2) response.outboundPrice--;
            CompactSignature memory signature = sign(EXECUTOR_KEY, response);
            vm.expectEmit(address(bond));
            emit ExecutorBond.Slashed(EXECUTOR, response.requestHash, STRANGER, 10 ether);
            vm.prank(STRANGER);
            bond.reportBreach(request, response, signature);
            eq(STRANGER.balance, 1 ether);
            eq(bond.BURNED().balance, 9 ether);
            eq(address(bond).balance, 0);
        }
    }

    function test_honestReceiptCostsNothing() public {
        LlmRequestCommitment memory request = requestOf();
        LlmResponseCommitment memory response = responseTo(request);
        response.outboundTokens = request.maxTokens;
        CompactSignature memory signature = sign(EXECUTOR_KEY, response);
        vm.expectRevert(ExecutorBond.NoBreach.selector);
        bond.reportBreach(request, response, signature);
        vm.expectRevert(ExecutorBond.SameReceipt.selector);
        bond.reportEquivocation(response, signature, response, signature);
    }

    function test_forgedOrUnrelatedEvidenceCostsNothing() public {
        LlmRequestCommitment memory request = requestOf();
        LlmResponseCommitment memory response = responseTo(request);
        response.outboundTokens = request.maxTokens + 1;
        CompactSignature memory signature = sign(STRANGER_KEY, response);
        vm.expectRevert(ExecutorBond.InvalidSignature.selector);
        bond.reportBreach(request, response, signature);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
        bond.reportBreach(request, response, CompactSignature(0, 0));
        signature = sign(EXECUTOR_KEY, response);
        request.maxTokens--; // other terms than those the executor answered
        vm.expectRevert(ExecutorBond.UnrelatedReceipt.selector);
        bond.reportBreach(request, response, signature);
    }

    function test_receiptOfAnotherChainOrNetworkCostsNothing() public {
        LlmRequestCommitment memory request = requestOf();
        LlmResponseCommitment memory response = responseTo(request);
        response.outboundTokens = request.maxTokens + 1;
        LloomChannels ours = channels;
        channels = new LloomChannels();
        CompactSignature memory signature = sign(EXECUTOR_KEY, response);
        channels = ours;
        vm.expectRevert(ExecutorBond.InvalidSignature.selector);
        bond.reportBreach(request, response, signature);
    }

    function test_twoReceiptsForOneRequestCostTheStake() public {
        LlmResponseCommitment memory first = responseTo(requestOf());
        LlmResponseCommitment memory second = responseTo(requestOf());
        second.contentHash = keccak256("another answer");
        CompactSignature memory one = sign(EXECUTOR_KEY, first);
        CompactSignature memory foreign = sign(STRANGER_KEY, second);
        vm.expectRevert(ExecutorBond.InvalidSignature.selector);
        bond.reportEquivocation(first, one, second, foreign);
        CompactSignature memory two = sign(EXECUTOR_KEY, second);
        vm.prank(STRANGER);
        bond.reportEquivocation(first, one, second, two);
        eq(STRANGER.balance, 1 ether);
        vm.expectRevert(ExecutorBond.NothingStaked.selector);
        bond.reportEquivocation(first, one, second, two);
    }

    function test_receiptsForTwoRequestsAreNoEquivocation() public {
        LlmRequestCommitment memory request = requestOf();
        LlmResponseCommitment memory first = responseTo(request);
        request.nonce++;
        LlmResponseCommitment memory second = responseTo(request);
        CompactSignature memory one = sign(EXECUTOR_KEY, first);
        CompactSignature memory two = sign(EXECUTOR_KEY, second);
        vm.expectRevert(ExecutorBond.UnrelatedReceipt.selector);
        bond.reportEquivocation(first, one, second, two);
    }

    function test_oneBreachCostsOneStake() public {
        LlmRequestCommitment memory request = requestOf();
        LlmResponseCommitment memory response = responseTo(request);
        response.outboundTokens = request.maxTokens + 1;
        CompactSignature memory signature = sign(EXECUTOR_KEY, response);
        vm.prank(STRANGER);
        bond.reportBreach(request, response, signature);
        vm.prank(EXECUTOR);
        bond.stake{value: 1 ether}();
        vm.prank(STRANGER);
        vm.expectRevert(ExecutorBond.AlreadyPunished.selector);
        bond.reportBreach(request, response, signature);
    }

    function test_stakeOnItsWayOutCanStillBeLost() public {
        LlmRequestCommitment memory request = requestOf();
        LlmResponseCommitment memory response = responseTo(request);
        response.outboundTokens = request.maxTokens + 1;
        CompactSignature memory signature = sign(EXECUTOR_KEY, response);
        vm.prank(EXECUTOR);
        bond.requestUnstake();
        vm.warp(START + 7 days);
        vm.prank(STRANGER);
        bond.reportBreach(request, response, signature);
        vm.prank(EXECUTOR);
        vm.expectRevert(ExecutorBond.NothingStaked.selector);
        bond.unstake(payable(EXECUTOR));
    }

    function testFuzz_reportIsUpheldExactlyForABreach(
        uint32 maxTokens,
        uint32 tokens,
        uint256 price,
        uint256 askedPrice,
        bool samePrice
    ) public {
        LlmRequestCommitment memory request = requestOf();
        request.maxTokens = maxTokens;
        request.inboundPrice = price;
        LlmResponseCommitment memory response = responseTo(request);
        response.outboundTokens = tokens;
        response.inboundPrice = samePrice ? price : askedPrice;
        CompactSignature memory signature = sign(EXECUTOR_KEY, response);
        bool breach = tokens > maxTokens || response.inboundPrice != price;
        if (!breach) vm.expectRevert(ExecutorBond.NoBreach.selector);
        vm.prank(STRANGER);
        bond.reportBreach(request, response, signature);
        (uint128 left,) = bond.bonds(EXECUTOR);
        eq(left, breach ? 0 : 10 ether);
    }

    function requestOf() private view returns (LlmRequestCommitment memory) {
        return LlmRequestCommitment({
            channelId: keccak256("channel"),
            executor: EXECUTOR,
            model: "gpt-oss-20b",
            promptHash: keccak256("prompt"),
            systemPromptHash: 0,
            maxTokens: 1024,
            temperature: 7000,
            inboundPrice: 100_000,
            outboundPrice: 400_000,
            nonce: 42,
            deadline: START + 60
        });
    }

    function responseTo(LlmRequestCommitment memory request) private view returns (LlmResponseCommitment memory) {
        return LlmResponseCommitment({
            requestHash: hashes.request(request),
            client: CLIENT,
            model: request.model,
            contentHash: keccak256("answer"),
            inboundTokens: 57,
            outboundTokens: 913,
            inboundPrice: request.inboundPrice,
            outboundPrice: request.outboundPrice,
            timestamp: START,
            success: true
        });
    }

    function sign(uint256 key, LlmResponseCommitment memory response)
        private
        view
        returns (CompactSignature memory signature)
    {
        (signature.r, signature.vs) = vm.signCompact(key, digestOf(hashes.response(response)));
    }
}
