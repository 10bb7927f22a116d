// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Channel, ChannelTerms, LloomChannels, Outcome, Redemption, Status} from "../src/LloomChannels.sol";
import {Base} from "./Base.sol";
import {vm} from "./Vm.sol";
import {Wallet} from "./Wallets.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice What each function does, and what it refuses.
contract LloomChannelsTest is Base {
    function test_depositsAreCreditedAndWithdrawn() public {
        address[2] memory assets = [NATIVE, address(token)];
        for (uint256 i = 0; i < assets.length; ++i) {
            uint256 value = assets[i] == NATIVE ? 5 : 0;
            vm.expectEmit(address(channels));
            emit LloomChannels.Deposited(assets[i], EXECUTOR, 5);
            vm.prank(CLIENT);
            channels.deposit{value: value}(assets[i], EXECUTOR, 5);
            eq(credit(assets[i], EXECUTOR), 5);
            vm.expectEmit(address(channels));
            emit LloomChannels.Withdrawn(assets[i], EXECUTOR, STRANGER, 3);
            vm.prank(EXECUTOR);
            channels.withdraw(assets[i], STRANGER, 3);
            eq(credit(assets[i], EXECUTOR), 2);
        }
        eq(STRANGER.balance, 3);
        eq(token.balanceOf(STRANGER), 3);
    }

    function test_depositRefusesWhatDoesNotAddUp() public {
        vm.startPrank(CLIENT);
        vm.expectRevert(LloomChannels.WrongValue.selector);
        channels.deposit{value: 4}(NATIVE, CLIENT, 5);
        vm.expectRevert(LloomChannels.WrongValue.selector);
        channels.deposit{value: 5}(address(token), CLIENT, 5);
        vm.expectRevert(LloomChannels.ZeroAmount.selector);
        channels.deposit(NATIVE, CLIENT, 0);
        vm.expectRevert(LloomChannels.ZeroAddress.selector);
        channels.deposit{value: 5}(NATIVE, address(0), 5);
    }

    function test_withdrawRefusesMoreThanTheCredit() public {
        vm.startPrank(CLIENT);
        channels.deposit{value: 5}(NATIVE, CLIENT, 5);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.InsufficientBalance.selector, 5, 6));
        channels.withdraw(NATIVE, CLIENT, 6);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.InsufficientBalance.selector, 0, 1));
        channels.withdraw(address(token), CLIENT, 1);
        vm.expectRevert(LloomChannels.ZeroAmount.selector);
        channels.withdraw(NATIVE, CLIENT, 0);
        vm.expectRevert(LloomChannels.ZeroAddress.selector);
        channels.withdraw(NATIVE, address(0), 5);
    }

    function test_openTakesValueOrCredit() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = channels.channelIdOf(terms);
        vm.expectEmit(address(channels));
        emit LloomChannels.ChannelOpened(id, CLIENT, EXECUTOR, NATIVE, SIGNER, DELAY, 1, 7);
        yes(openWith(terms, 7) == id);
        eq(stateOf(terms).deposit, 7);
        eq(stateOf(terms).status, Status.Open);

        terms = termsFor(address(token));
        vm.startPrank(CLIENT);
        channels.deposit(address(token), CLIENT, 10);
        channels.open(terms, 6);
        eq(credit(address(token), CLIENT), 4);
        eq(stateOf(terms).deposit, 6);
        terms.salt = 2;
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.InsufficientBalance.selector, 4, 5));
        channels.open(terms, 5);
    }

    function test_openPullTakesTokensAlone() public {
        ChannelTerms memory terms = termsFor(address(token));
        vm.startPrank(CLIENT);
        channels.openPull(terms, 9);
        eq(token.balanceOf(address(channels)), 9);
        eq(stateOf(terms).deposit, 9);
        terms.asset = NATIVE;
        vm.expectRevert(LloomChannels.NotToken.selector);
        channels.openPull(terms, 9);
    }

    function test_openRefusesOthersValuesAndTerms() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        vm.deal(STRANGER, 10);
        vm.startPrank(STRANGER);
        vm.expectRevert(LloomChannels.NotClient.selector);
        channels.open{value: 1}(terms, 1);
        vm.expectRevert(LloomChannels.NotClient.selector);
        channels.openPull(terms, 1);
        vm.stopPrank();

        vm.startPrank(CLIENT);
        vm.expectRevert(LloomChannels.WrongValue.selector);
        channels.open{value: 1}(terms, 2);
        vm.expectRevert(LloomChannels.ZeroAmount.selector);
        channels.open(terms, 0);
        terms.asset = address(token);
        vm.expectRevert(LloomChannels.WrongValue.selector);
        channels.open{value: 1}(terms, 1);
        vm.stopPrank();

        for (uint256 i = 0; i < 4; ++i) {
            terms = termsFor(NATIVE);
            if (i == 0) terms.executor = address(0);
            if (i == 1) terms.signer = address(0);
            if (i == 2) terms.closeDelay = channels.MIN_CLOSE_DELAY() - 1;
            if (i == 3) terms.closeDelay = channels.MAX_CLOSE_DELAY() + 1;
            vm.prank(CLIENT);
            vm.expectRevert(LloomChannels.InvalidTerms.selector);
            channels.open{value: 1}(terms, 1);
        }
        terms = termsFor(NATIVE);
        terms.client = address(0);
        vm.deal(address(0), 1);
        vm.prank(address(0));
        vm.expectRevert(LloomChannels.InvalidTerms.selector);
        channels.open{value: 1}(terms, 1);
    }

    function test_theShortestAndTheLongestDelayAreAllowed() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        terms.closeDelay = channels.MIN_CLOSE_DELAY();
        openWith(terms, 1);
        terms.closeDelay = channels.MAX_CLOSE_DELAY();
        openWith(terms, 1);
    }

    function test_openBySigSpendsTheClientsCreditOnItsWord() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = channels.channelIdOf(terms);
        vm.prank(CLIENT);
        channels.deposit{value: 10}(NATIVE, CLIENT, 10);
        uint64 deadline = START + 60;
        bytes memory signature = signatureBy(CLIENT_KEY, hashes.channelOpen(id, 8, deadline));

        vm.expectRevert(LloomChannels.InvalidSignature.selector);
        channels.openBySig(terms, 9, deadline, signature);
        vm.expectRevert(LloomChannels.InvalidSignature.selector);
        channels.openBySig(terms, 8, deadline + 1, signature);
        vm.warp(deadline + 1);
        vm.expectRevert(LloomChannels.Expired.selector);
        channels.openBySig(terms, 8, deadline, signature);
        vm.warp(deadline);
        channels.openBySig(terms, 8, deadline, signature);
        eq(stateOf(terms).deposit, 8);
        eq(credit(NATIVE, CLIENT), 2);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.InsufficientBalance.selector, 2, 8));
        channels.openBySig(terms, 8, deadline, signature);
    }

    function test_openBySigTakesTheWordOfAContract() public {
        Wallet wallet = new Wallet();
        ChannelTerms memory terms = termsFor(NATIVE);
        terms.client = address(wallet);
        vm.prank(CLIENT);
        channels.deposit{value: 10}(NATIVE, address(wallet), 10);
        bytes32 structHash = hashes.channelOpen(channels.channelIdOf(terms), 8, START);
        vm.expectRevert(LloomChannels.InvalidSignature.selector);
        channels.openBySig(terms, 8, START, "");
        wallet.approve(digestOf(structHash), true);
        channels.openBySig(terms, 8, START, "");
        eq(stateOf(terms).deposit, 8);
    }

    function test_topUpByAnyoneWhileOpen() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 10);
        vm.deal(STRANGER, 5);
        vm.expectEmit(address(channels));
        emit LloomChannels.ToppedUp(id, 5, 15);
        vm.prank(STRANGER);
        channels.topUp{value: 5}(terms, 5);
        eq(stateOf(terms).deposit, 15);

        terms = termsFor(address(token));
        openWith(terms, 10);
        vm.startPrank(CLIENT);
        channels.deposit(address(token), CLIENT, 4);
        channels.topUp(terms, 4);
        eq(stateOf(terms).deposit, 14);
        vm.expectRevert(LloomChannels.ZeroAmount.selector);
        channels.topUp(terms, 0);
        vm.expectRevert(LloomChannels.WrongValue.selector);
        channels.topUp{value: 1}(terms, 1);
        channels.requestClose(terms);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.Closing));
        channels.topUp(terms, 1);
        terms.salt = 99;
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.None));
        channels.topUp(terms, 1);
    }

    function test_topUpCannotOverflowTheDeposit() public {
        ChannelTerms memory terms = termsFor(address(token));
        token.mint(CLIENT, type(uint96).max);
        openWith(terms, type(uint96).max);
        vm.startPrank(CLIENT);
        channels.deposit(address(token), CLIENT, 1);
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        channels.topUp(terms, 1);
    }

    function test_redeemPaysTheDifferenceToTheExecutor() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        vm.expectEmit(address(channels));
        emit LloomChannels.Redeemed(id, EXECUTOR, 30, 30, 3, 171, 2739, keccak256("receipts"));
        eq(channels.redeem(item), 30);
        item = redemption(terms, 45);
        eq(channels.redeem(item), 15);
        eq(credit(NATIVE, EXECUTOR), 45);
        eq(stateOf(terms).settled, 45);
    }

    function test_redeemPaysUpToTheDepositAndTheRestAfterATopUp() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        Redemption memory item = redemption(terms, 130);
        eq(channels.redeem(item), 100);
        vm.prank(CLIENT);
        channels.topUp{value: 50}(terms, 50);
        eq(channels.redeem(item), 30);
        eq(credit(NATIVE, EXECUTOR), 130);
    }

    function test_redeemSaysWhyItPaysNothing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        Redemption memory item = redemption(terms, 30);
        refusesRedemption(item, Outcome.NotOpen);
        openWith(terms, 100);
        refusesRedemption(redemptionBy(CLIENT_KEY, terms, 30), Outcome.BadSignature);
        refusesRedemption(redemption(terms, 0), Outcome.NothingDue);
        channels.redeem(item);
        refusesRedemption(item, Outcome.NothingDue);
        refusesRedemption(redemption(terms, 29), Outcome.NothingDue);
        vm.prank(EXECUTOR);
        channels.closeByExecutor(terms);
        refusesRedemption(redemption(terms, 31), Outcome.NotOpen);
    }

    function test_redeemManyPaysTheGoodAndSkipsTheBad() public {
        Redemption[] memory items = new Redemption[](4);
        for (uint96 i = 0; i < 4; ++i) {
            ChannelTerms memory terms = termsFor(i % 2 == 0 ? NATIVE : address(token));
            terms.salt = i;
            openWith(terms, 100);
            items[i] = i == 2 ? redemptionBy(STRANGER_KEY, terms, 10 + i) : redemption(terms, 10 + i);
        }
        vm.expectEmit(address(channels));
        emit LloomChannels.RedemptionSkipped(channels.channelIdOf(items[2].terms), Outcome.BadSignature);
        channels.redeemMany(items);
        eq(credit(NATIVE, EXECUTOR), 10);
        eq(credit(address(token), EXECUTOR), 11 + 13);
    }

    function test_redeemAndClosePaysBothSidesAtOnce() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        Redemption memory item = redemption(terms, 30);
        vm.prank(CLIENT);
        vm.expectRevert(LloomChannels.NotExecutor.selector);
        channels.redeemAndClose(item);
        Redemption memory forged = redemptionBy(STRANGER_KEY, terms, 30);
        vm.prank(EXECUTOR);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.NotRedeemable.selector, Outcome.BadSignature));
        channels.redeemAndClose(forged);
        vm.expectEmit(address(channels));
        emit LloomChannels.ChannelClosed(id, EXECUTOR, 30, 70);
        vm.prank(EXECUTOR);
        channels.redeemAndClose(item);
        eq(credit(NATIVE, EXECUTOR), 30);
        eq(credit(NATIVE, CLIENT), 70);
        Channel memory state = stateOf(terms);
        eq(state.status, Status.Closed);
        eq(state.deposit, 30);
        vm.prank(EXECUTOR);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.NotRedeemable.selector, Outcome.NotOpen));
        channels.redeemAndClose(item);
    }

    function test_closeByExecutorFromOpenAndFromClosing() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 100);
        vm.prank(CLIENT);
        vm.expectRevert(LloomChannels.NotExecutor.selector);
        channels.closeByExecutor(terms);
        vm.prank(EXECUTOR);
        channels.closeByExecutor(terms);
        eq(credit(NATIVE, CLIENT), 100);
        vm.prank(EXECUTOR);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.Closed));
        channels.closeByExecutor(terms);

        terms.salt = 2;
        openWith(terms, 100);
        vm.prank(CLIENT);
        channels.requestClose(terms);
        vm.prank(EXECUTOR);
        channels.closeByExecutor(terms);
        eq(stateOf(terms).status, Status.Closed);
    }

    function test_closingTakesTheDelayAndThenAnyone() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        vm.expectRevert(LloomChannels.NotClient.selector);
        channels.requestClose(terms);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.Open));
        channels.finalize(terms);
        uint40 closesAt = SafeCast.toUint40(START + DELAY);
        vm.expectEmit(address(channels));
        emit LloomChannels.CloseRequested(id, EXECUTOR, closesAt);
        vm.prank(CLIENT);
        channels.requestClose(terms);
        eq(stateOf(terms).closesAt, closesAt);
        vm.prank(CLIENT);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.Closing));
        channels.requestClose(terms);
        vm.warp(closesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.TooEarly.selector, closesAt));
        channels.finalize(terms);
        vm.warp(closesAt);
        channels.finalize(terms);
        eq(stateOf(terms).status, Status.Closed);
        eq(credit(NATIVE, CLIENT), 100);
    }

    function test_consentClosesAtOnceAtTheAmountAgreed() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        channels.redeem(redemption(terms, 30));
        uint64 deadline = START + 600;
        bytes memory signature = signatureBy(EXECUTOR_KEY, hashes.closeConsent(id, 40, deadline));
        vm.expectRevert(LloomChannels.NotClient.selector);
        channels.closeWithConsent(terms, 40, deadline, signature);
        vm.startPrank(CLIENT);
        vm.expectRevert(LloomChannels.InvalidSignature.selector);
        channels.closeWithConsent(terms, 39, deadline, signature);
        channels.closeWithConsent(terms, 40, deadline, signature);
        eq(credit(NATIVE, EXECUTOR), 40);
        eq(credit(NATIVE, CLIENT), 60);
        eq(stateOf(terms).settled, 40);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.WrongStatus.selector, Status.Closed));
        channels.closeWithConsent(terms, 40, deadline, signature);
    }

    function test_consentBindsForTenMinutesAndWithinTheDeposit() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        bytes32 id = openWith(terms, 100);
        channels.redeem(redemption(terms, 30));
        uint64 far = START + 601;
        bytes memory signature = signatureBy(EXECUTOR_KEY, hashes.closeConsent(id, 40, far));
        vm.startPrank(CLIENT);
        vm.expectRevert(LloomChannels.DeadlineTooFar.selector);
        channels.closeWithConsent(terms, 40, far, signature);
        vm.warp(far + 1);
        vm.expectRevert(LloomChannels.Expired.selector);
        channels.closeWithConsent(terms, 40, far, signature);
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.AmountOutOfRange.selector, 30, 100));
        channels.closeWithConsent(terms, 101, far + 1, signature);
    }

    function test_consentOfAContractExecutorEndsAClosingChannel() public {
        Wallet wallet = new Wallet();
        ChannelTerms memory terms = termsFor(NATIVE);
        terms.executor = address(wallet);
        bytes32 id = openWith(terms, 100);
        wallet.approve(digestOf(hashes.closeConsent(id, 1, START)), true);
        vm.startPrank(CLIENT);
        channels.requestClose(terms);
        channels.closeWithConsent(terms, 1, START, "");
        eq(credit(NATIVE, address(wallet)), 1);
    }

    function test_theDomainIsTheNetworks() public view {
        (, string memory name, string memory version, uint256 chainId, address contract_,,) = channels.eip712Domain();
        yes(keccak256(bytes(name)) == keccak256("Lloom Network"));
        yes(keccak256(bytes(version)) == keccak256("1.0.0"));
        eq(chainId, block.chainid);
        eq(contract_, address(channels));
    }

    function testFuzz_paysWhatWasPromisedWithinTheDeposit(uint96 deposit, uint96[8] memory amounts) public {
        vm.assume(deposit != 0);
        token.mint(CLIENT, deposit);
        ChannelTerms memory terms = termsFor(address(token));
        openWith(terms, deposit);
        uint256 highest;
        for (uint256 i = 0; i < amounts.length; ++i) {
            if (amounts[i] > highest) highest = amounts[i];
            Redemption[] memory items = new Redemption[](1);
            items[0] = redemption(terms, amounts[i]);
            channels.redeemMany(items);
            eq(credit(address(token), EXECUTOR), highest < deposit ? highest : deposit);
        }
    }

    function refusesRedemption(Redemption memory item, Outcome outcome) private {
        vm.expectRevert(abi.encodeWithSelector(LloomChannels.NotRedeemable.selector, outcome));
        channels.redeem(item);
    }
}
