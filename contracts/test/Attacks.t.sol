// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ChannelTerms, LloomChannels, Outcome, Redemption, Status} from "../src/LloomChannels.sol";
import {Base} from "./Base.sol";
import {FalseToken, FeeToken, ReentrantToken} from "./Tokens.sol";
import {vm} from "./Vm.sol";
import {ReentrantReceiver, Wallet} from "./Wallets.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice One test for each known attack on the contract.
contract AttacksTest is Base {
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    function test_voucherOfAnotherChainPaysNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        vm.chainId(block.chainid + 1); // as after a fork, with the same state
        refuses(item, Outcome.BadSignature);
    }

    function test_voucherForAnotherContractPaysNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        channels = new LloomChannels();
        openWith(terms, 100);
        refuses(item, Outcome.BadSignature);
    }

    function test_voucherOfAnotherChannelPaysNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        terms.salt = 2;
        openWith(terms, 100);
        item.terms = terms;
        refuses(item, Outcome.BadSignature);
    }

    function test_voucherWithAnyFieldChangedPaysNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        for (uint256 i = 0; i < 5; ++i) {
            Redemption memory item = redemption(terms, 30);
            if (i == 0) item.voucher.cumulativeAmount++;
            if (i == 1) item.voucher.requests++;
            if (i == 2) item.voucher.inboundTokens++;
            if (i == 3) item.voucher.outboundTokens++;
            if (i == 4) item.voucher.receiptsRoot = 0;
            refuses(item, Outcome.BadSignature);
        }
    }

    function test_closedChannelNeverReopens() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        vm.prank(EXECUTOR);
        channels.closeByExecutor(terms);
        bytes memory closed = abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.Closed);
        vm.startPrank(CLIENT);
        vm.expectRevert(closed);
        channels.open{value: 100}(terms, 100);
        vm.expectRevert(closed);
        channels.topUp{value: 100}(terms, 100);
        vm.expectRevert(closed);
        channels.requestClose(terms);
        vm.expectRevert(closed);
        channels.finalize(terms);
        vm.stopPrank();
        bytes32 structHash = hashes.channelOpen(channels.channelIdOf(terms), 100, START);
        bytes memory signature = signatureBy(CLIENT_KEY, structHash);
        vm.expectRevert(closed);
        channels.openBySig(terms, 100, START, signature);
    }

    function test_openChannelNeverOpensAgain() public {
        ChannelTerms memory terms = termsFor(address(token));
        openWith(terms, 100);
        vm.prank(CLIENT);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.Open));
        channels.openPull(terms, 100);
    }

    function test_malleableSignaturePaysNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        // The twin n - s of the same signature has no form with its recovery id in the highest bit.
        bytes32 s = bytes32(uint256(item.vs) & (type(uint256).max >> 1));
        bytes32 parity = bytes32(uint256(item.vs) & ~(type(uint256).max >> 1));
        item.vs = bytes32(ORDER - uint256(s));
        refuses(item, Outcome.BadSignature);
        item.vs = s | (parity ^ bytes32(uint256(1) << 255));
        refuses(item, Outcome.BadSignature);

        // Where a signature comes as 65 bytes, the twin is refused as well.
        (uint8 v, bytes32 r, bytes32 low) = vm.sign(EXECUTOR_KEY, digestOf(hashes.closeConsent(id, 30, START)));
        bytes memory twin = abi.encodePacked(r, ORDER - uint256(low), v ^ 7);
        vm.prank(CLIENT);
        vm.expectRevert(LloomChannels.InvalidSignature.selector);
        channels.closeWithConsent(terms, 30, START, twin);
    }

    function test_unrecoverableSignaturePaysNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        item.r = 0;
        item.vs = 0;
        refuses(item, Outcome.BadSignature);
    }

    function test_voucherOfAContractSignerPaysNothingWhateverItApproves() public {
        Wallet wallet = new Wallet();
        ChannelTerms memory terms = termsFor(NATIVE);
        terms.signer = address(wallet);
        bytes32 id = openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        wallet.approve(digestOf(hashes.voucher(id, item.voucher)), true);
        refuses(item, Outcome.BadSignature);
    }

    function test_signerCannotRevokeVouchersByGettingCode() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        vm.etch(SIGNER, type(Wallet).runtimeCode); // as by EIP-7702: approves nothing
        eq(channels.redeem(item), 30);
    }

    function test_keyOfAnAccountWithCodeStillConsents() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        bytes memory signature = signatureBy(EXECUTOR_KEY, hashes.closeConsent(id, 30, START));
        vm.etch(EXECUTOR, type(Wallet).runtimeCode);
        vm.prank(CLIENT);
        channels.closeWithConsent(terms, 30, START, signature);
        eq(credit(NATIVE, EXECUTOR), 30);
    }

    function test_redemptionInFrontPaysTheSameExecutorAndHindersNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        Redemption[] memory items = new Redemption[](2);
        items[0] = item;
        terms = termsFor(NATIVE);
        terms.salt = 2;
        openWith(terms, 100);
        items[1] = redemption(terms, 5);
        vm.prank(STRANGER);
        channels.redeem(item);
        eq(credit(NATIVE, STRANGER), 0);
        channels.redeemMany(items);
        eq(credit(NATIVE, EXECUTOR), 35);
        vm.prank(EXECUTOR);
        channels.redeemAndClose(item);
        eq(stateOf(item.terms).status, Status.Closed);
    }

    function test_poisonedBatchPaysTheRest() public {
        Redemption[] memory items = new Redemption[](6);
        for (uint96 i = 0; i < 6; ++i) {
            ChannelTerms memory terms = termsFor(NATIVE);
            terms.salt = i;
            if (i != 0) openWith(terms, 100); // the first was never opened
            items[i] = redemption(terms, 10);
        }
        items[1].r = 0; // no signature at all
        items[2].vs = bytes32(type(uint256).max);
        vm.prank(EXECUTOR);
        channels.closeByExecutor(items[3].terms); // closed meanwhile
        items[4] = items[5]; // the same twice
        channels.redeemMany(items);
        eq(credit(NATIVE, EXECUTOR), 10);
    }

    function test_depositCannotBeWithdrawnDuringService() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 60);
        vm.startPrank(CLIENT);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.InsufficientBalance.selector, 0, 1));
        channels.withdraw(NATIVE, CLIENT, 1);
        channels.requestClose(terms);
        vm.warp(START + DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.TooEarly.selector, START + DELAY));
        channels.finalize(terms);
        vm.stopPrank();
        eq(channels.redeem(item), 60); // in the last second
        vm.warp(START + DELAY);
        channels.finalize(terms);
        eq(credit(NATIVE, CLIENT), 40);
    }

    function test_voucherCountsUntilSomebodyFinalizes() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        vm.prank(CLIENT);
        channels.requestClose(terms);
        vm.warp(START + 365 days); // a voucher has no deadline of its own
        eq(channels.redeem(redemption(terms, 60)), 60);
    }

    function test_staleConsentCannotUndoALaterVoucher() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        bytes memory signature = signatureBy(EXECUTOR_KEY, hashes.closeConsent(id, 20, START + 600));
        channels.redeem(redemption(terms, 50));
        vm.startPrank(CLIENT);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.AmountOutOfRange.selector, 50, 100));
        channels.closeWithConsent(terms, 20, START + 600, signature);
        vm.warp(START + 601); // one that was kept is worth nothing after ten minutes
        vm.expectRevert(LloomChannels.Expired.selector);
        channels.closeWithConsent(terms, 20, START + 600, signature);
    }

    function test_consentForAnotherChannelClosesNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        bytes memory signature = signatureBy(EXECUTOR_KEY, hashes.closeConsent(id, 0, START));
        terms.salt = 2;
        openWith(terms, 100);
        vm.prank(CLIENT);
        vm.expectRevert(LloomChannels.InvalidSignature.selector);
        channels.closeWithConsent(terms, 0, START, signature);
    }

    function testFuzz_redeemingInStepsLosesNothingToRounding(uint96 amount, uint256 steps) public {
        steps = 1 + steps % 20;
        amount = SafeCast.toUint96(steps + amount % 1e24);
        token.mint(CLIENT, amount);
        ChannelTerms memory terms = termsFor(address(token));
        openWith(terms, amount);
        for (uint256 i = 1; i <= steps; ++i) {
            channels.redeem(redemption(terms, SafeCast.toUint96(uint256(amount) * i / steps)));
        }
        eq(credit(address(token), EXECUTOR), amount);
    }

    function test_reentrantWithdrawalGetsNothingMore() public {
        ReentrantReceiver thief = new ReentrantReceiver(channels);
        vm.startPrank(CLIENT);
        channels.deposit{value: 100}(NATIVE, CLIENT, 100);
        channels.deposit{value: 10}(NATIVE, address(thief), 10);
        thief.withdraw(5);
        eq(address(thief).balance, 5);
        eq(credit(NATIVE, address(thief)), 5);
        yes(bytes4(thief.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
    }

    function test_reentrantTokenIsNotCreditedTwice() public {
        ReentrantToken reentrant = new ReentrantToken(channels);
        reentrant.mint(CLIENT, 100);
        reentrant.mint(address(reentrant), 100);
        vm.prank(CLIENT);
        reentrant.approve(address(channels), 100);
        reentrant.arm(abi.encodeCall(channels.deposit, (address(reentrant), STRANGER, 10)));
        vm.prank(CLIENT);
        channels.deposit(address(reentrant), CLIENT, 10);
        yes(bytes4(reentrant.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        eq(credit(address(reentrant), CLIENT), 10);
        eq(credit(address(reentrant), STRANGER), 0);

        reentrant.arm(abi.encodeCall(channels.deposit, (address(reentrant), STRANGER, 10)));
        vm.prank(CLIENT);
        channels.openPull(termsFor(address(reentrant)), 10);
        yes(bytes4(reentrant.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        eq(stateOf(termsFor(address(reentrant))).deposit, 10);
    }

    function test_tokenWithAFeeCountsWhatArrives() public {
        FeeToken fee = new FeeToken();
        fee.mint(CLIENT, 2000);
        vm.startPrank(CLIENT);
        fee.approve(address(channels), 2000);
        channels.deposit(address(fee), CLIENT, 1000);
        eq(credit(address(fee), CLIENT), 990);
        channels.openPull(termsFor(address(fee)), 1000);
        eq(stateOf(termsFor(address(fee))).deposit, 990);
        channels.withdraw(address(fee), CLIENT, 990);
        eq(fee.balanceOf(address(channels)), 990);
    }

    function test_tokenThatMovesNothingCreditsNothing() public {
        FalseToken liar = new FalseToken();
        vm.prank(CLIENT);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar)));
        channels.deposit(address(liar), CLIENT, 10);
    }

    function test_strangerCannotSpendAnothersCreditOrAllowance() public {
        ChannelTerms memory terms = termsFor(address(token));
        terms.executor = STRANGER;
        vm.prank(CLIENT);
        channels.deposit(address(token), CLIENT, 10);
        bytes32 structHash = hashes.channelOpen(channels.channelIdOf(terms), 10, START);
        bytes memory signature = signatureBy(STRANGER_KEY, structHash);
        vm.startPrank(STRANGER);
        vm.expectRevert(LloomChannels.InvalidSignature.selector);
        channels.openBySig(terms, 10, START, signature);
        vm.expectRevert(LloomChannels.NotClient.selector);
        channels.openPull(terms, 10);
        vm.expectRevert(LloomChannels.NotClient.selector);
        channels.open(terms, 10);
    }

    function refuses(Redemption memory item, Outcome outcome) private {
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.NotRedeemable.selector, outcome));
        channels.redeem(item);
    }
}
