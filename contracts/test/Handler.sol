// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Channel, ChannelTerms, Outcome, Redemption, Status} from "../src/LloomChannels.sol";
import {Base} from "./Base.sol";
import {vm} from "./Vm.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Does at random what clients, executors and strangers can do, and keeps its own account of it.
/// @dev Calls that the contract refuses revert, and with them what was noted here.
contract Handler is Base {
    /// @notice More channels would seldom meet twice.
    uint256 public constant CHANNELS = 8;
    uint96 private constant MOST = 1e18;

    /// @notice Base units that came in and went out, by asset.
    mapping(address asset => uint256) public received;
    mapping(address asset => uint256) public paidOut;
    /// @notice The highest amount that was signed away on each channel, by voucher or by consent.
    mapping(uint256 index => uint96) public promised;
    /// @notice How often each kind of call succeeded.
    mapping(bytes4 selector => uint256) public succeeded;
    /// @notice The first rule that was broken; empty if none was.
    string public violation;

    constructor() {
        setUp();
    }

    /// @dev Compares a channel before and after a call with what the rules allow.
    modifier watched(uint256 seed) {
        uint256 index = seed % CHANNELS;
        ChannelTerms memory terms = termsAt(index);
        Channel memory before = stateOf(terms);
        uint256 earned = credit(terms.asset, EXECUTOR);
        _;
        Channel memory afterwards = stateOf(terms);
        require_(afterwards.settled >= before.settled, "settled decreased");
        require_(
            credit(terms.asset, EXECUTOR) - earned == afterwards.settled - before.settled,
            "executor's credit and settled grew apart"
        );
        require_(afterwards.settled <= afterwards.deposit, "settled beyond the deposit");
        require_(afterwards.settled <= promised[index], "settled beyond what was signed");
        require_(before.status != Status.Closed || afterwards.status == Status.Closed, "a closed id reopened");
        succeeded[msg.sig]++;
    }

    function termsAt(uint256 index) public view returns (ChannelTerms memory terms) {
        terms = termsFor(index % 2 == 0 ? NATIVE : address(token));
        terms.salt = SafeCast.toUint96(index);
    }

    function deposit(uint256 asset, uint96 amount) external {
        ChannelTerms memory terms = termsAt(asset % CHANNELS);
        amount = within(amount);
        vm.prank(fund(terms.asset, amount));
        channels.deposit{value: terms.asset == NATIVE ? amount : 0}(terms.asset, CLIENT, amount);
        received[terms.asset] += amount;
        succeeded[msg.sig]++;
    }

    function withdraw(uint256 asset, bool byClient, uint256 amount) external {
        ChannelTerms memory terms = termsAt(asset % CHANNELS);
        address account = byClient ? CLIENT : EXECUTOR;
        amount = 1 + amount % credit(terms.asset, account);
        vm.prank(account);
        channels.withdraw(terms.asset, STRANGER, amount);
        paidOut[terms.asset] += amount;
        succeeded[msg.sig]++;
    }

    function open(uint256 seed, uint96 amount, bool fromCredit) external watched(seed) {
        ChannelTerms memory terms = termsAt(seed % CHANNELS);
        amount = within(amount);
        if (!fromCredit) {
            fund(terms.asset, amount);
            openWith(terms, amount);
            received[terms.asset] += amount;
        } else {
            vm.prank(CLIENT);
            channels.open(terms, amount);
        }
    }

    function openBySig(uint256 seed, uint96 amount) external watched(seed) {
        ChannelTerms memory terms = termsAt(seed % CHANNELS);
        amount = within(amount);
        uint64 deadline = uint64(block.timestamp);
        bytes memory signature =
            signatureBy(CLIENT_KEY, hashes.channelOpen(hashes.channelTerms(terms), amount, deadline));
        channels.openBySig(terms, amount, deadline, signature);
    }

    function topUp(uint256 seed, uint96 amount) external watched(seed) {
        ChannelTerms memory terms = termsAt(seed % CHANNELS);
        amount = within(amount);
        uint256 value = terms.asset == NATIVE ? amount : 0;
        vm.prank(fund(terms.asset, amount));
        channels.topUp{value: value}(terms, amount);
        received[terms.asset] += value;
    }

    function redeem(uint256 seed, uint96 amount) external watched(seed) {
        Redemption memory item = promise_(seed % CHANNELS, amount);
        vm.prank(STRANGER);
        channels.redeem(item);
    }

    function redeemAndClose(uint256 seed, uint96 amount) external watched(seed) {
        seldom(seed);
        Redemption memory item = promise_(seed % CHANNELS, amount);
        vm.prank(EXECUTOR);
        channels.redeemAndClose(item);
    }

    function redeemMany(uint96 amount) external watched(0) {
        Redemption[] memory items = new Redemption[](CHANNELS);
        for (uint256 i = 0; i < CHANNELS; ++i) {
            // All in the asset of channel 0 but itself is forged: what the executor earns there, it earns on 0.
            items[i] = i != 0 && i % 2 == 0 ? forged(i, amount) : promise_(i, amount);
        }
        channels.redeemMany(items);
    }

    /// @dev By strangers' keys, of other channels, changed after signing.
    function redeemForged(uint256 seed, uint96 amount) external watched(seed) {
        Redemption[] memory items = new Redemption[](1);
        items[0] = forged(seed, amount);
        uint96 settled = stateOf(items[0].terms).settled;
        channels.redeemMany(items);
        require_(stateOf(items[0].terms).settled == settled, "a forged voucher paid");
    }

    function closeByExecutor(uint256 seed) external watched(seed) {
        seldom(seed);
        ChannelTerms memory terms = termsAt(seed % CHANNELS);
        vm.prank(EXECUTOR);
        channels.closeByExecutor(terms);
    }

    function requestClose(uint256 seed) external watched(seed) {
        ChannelTerms memory terms = termsAt(seed % CHANNELS);
        vm.prank(CLIENT);
        channels.requestClose(terms);
    }

    function finalize(uint256 seed) external watched(seed) {
        ChannelTerms memory terms = termsAt(seed % CHANNELS);
        uint40 closesAt = stateOf(terms).closesAt;
        channels.finalize(terms);
        require_(closesAt != 0 && block.timestamp >= closesAt, "finalized before closesAt");
    }

    function closeWithConsent(uint256 seed, uint96 amount) external watched(seed) {
        seldom(seed);
        ChannelTerms memory terms = termsAt(seed % CHANNELS);
        uint96 finalAmount = amount % (2 * MOST);
        uint64 deadline = uint64(block.timestamp + 60);
        bytes memory signature =
            signatureBy(EXECUTOR_KEY, hashes.closeConsent(hashes.channelTerms(terms), finalAmount, deadline));
        note(seed % CHANNELS, finalAmount);
        vm.prank(CLIENT);
        channels.closeWithConsent(terms, finalAmount, deadline, signature);
    }

    function pass(uint16 time) external {
        vm.warp(block.timestamp + time % (2 * DELAY));
        succeeded[msg.sig]++;
    }

    /// @dev To the edge of what finalize allows, which chance alone would not hit.
    function passToClosing(uint256 seed, bool early) external {
        uint40 closesAt = stateOf(termsAt(seed % CHANNELS)).closesAt;
        vm.assume(closesAt > block.timestamp);
        vm.warp(early ? closesAt - 1 : closesAt);
        succeeded[msg.sig]++;
    }

    function promise_(uint256 index, uint96 amount) private returns (Redemption memory) {
        uint96 settled = stateOf(termsAt(index)).settled;
        amount = amount % 4 == 0 ? amount % (2 * MOST) : settled + amount % (MOST / 16);
        note(index, amount);
        return redemption(termsAt(index), amount);
    }

    function forged(uint256 seed, uint96 amount) private view returns (Redemption memory item) {
        uint256 index = seed % CHANNELS;
        if (seed % 3 == 0) return redemptionBy(STRANGER_KEY, termsAt(index), amount);
        if (seed % 3 == 1) {
            item = redemption(termsAt((index + 1) % CHANNELS), amount);
            item.terms = termsAt(index);
        } else {
            item = redemption(termsAt(index), amount % MOST);
            item.voucher.cumulativeAmount++;
        }
    }

    /// @dev Else most channels would be closed at once, and never in the slow way.
    function seldom(uint256 seed) private pure {
        vm.assume(seed / CHANNELS % 16 == 0);
    }

    function note(uint256 index, uint96 amount) private {
        if (amount > promised[index]) promised[index] = amount;
    }

    function fund(address asset, uint256 amount) private returns (address) {
        if (asset == NATIVE) vm.deal(CLIENT, CLIENT.balance + amount);
        else token.mint(CLIENT, amount);
        return CLIENT;
    }

    function within(uint96 amount) private pure returns (uint96) {
        return 1 + amount % MOST;
    }

    function require_(bool condition, string memory rule) private {
        if (!condition && bytes(violation).length == 0) violation = rule;
    }

    /// @notice What the contract owes, what it has, and what it should have.
    function accounts(address asset) external view returns (uint256 owed, uint256 held, uint256 expected) {
        owed = credit(asset, CLIENT) + credit(asset, EXECUTOR) + credit(asset, STRANGER);
        for (uint256 i = 0; i < CHANNELS; ++i) {
            ChannelTerms memory terms = termsAt(i);
            Channel memory state = stateOf(terms);
            if (terms.asset == asset) owed += state.deposit - state.settled;
        }
        held = asset == NATIVE ? address(channels).balance : token.balanceOf(address(channels));
        expected = received[asset] - paidOut[asset];
    }

    function tokenAddress() external view returns (address) {
        return address(token);
    }
}
