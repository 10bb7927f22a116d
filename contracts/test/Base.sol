// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Channel, ChannelTerms, LloomChannels, Redemption, Status} from "../src/LloomChannels.sol";
import {Voucher} from "../src/TypedData.sol";
import {Hashes} from "./Hashes.sol";
import {Token} from "./Tokens.sol";
import {vm} from "./Vm.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice Accounts, channels and vouchers for tests.
abstract contract Base {
    uint256 internal constant CLIENT_KEY = 0xC11E;
    uint256 internal constant EXECUTOR_KEY = 0xE8EC;
    uint256 internal constant SIGNER_KEY = 0x51;
    uint256 internal constant STRANGER_KEY = 0xBAD;
    address internal constant NATIVE = address(0);
    uint32 internal constant DELAY = 1 hours;
    uint64 internal constant START = 1_767_225_600;

    address internal immutable CLIENT = vm.addr(CLIENT_KEY);
    address internal immutable EXECUTOR = vm.addr(EXECUTOR_KEY);
    address internal immutable SIGNER = vm.addr(SIGNER_KEY);
    address internal immutable STRANGER = vm.addr(STRANGER_KEY);

    LloomChannels internal channels;
    Token internal token;
    Hashes internal hashes;

    function setUp() public virtual {
        vm.warp(START);
        channels = new LloomChannels();
        token = new Token();
        hashes = new Hashes();
        vm.deal(CLIENT, 1000 ether);
        token.mint(CLIENT, 1000 ether);
        vm.prank(CLIENT);
        token.approve(address(channels), type(uint256).max);
    }

    function termsFor(address asset) internal view returns (ChannelTerms memory) {
        return
            ChannelTerms({client: CLIENT, executor: EXECUTOR, asset: asset, signer: SIGNER, closeDelay: DELAY, salt: 1});
    }

    function openWith(ChannelTerms memory terms, uint96 amount) internal returns (bytes32) {
        vm.prank(terms.client);
        if (terms.asset == NATIVE) return channels.open{value: amount}(terms, amount);
        return channels.openPull(terms, amount);
    }

    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(channels.domainSeparator(), structHash);
    }

    function voucherOf(uint96 amount) internal pure returns (Voucher memory) {
        return Voucher({
            cumulativeAmount: amount,
            requests: 3,
            inboundTokens: 171,
            outboundTokens: 2739,
            receiptsRoot: keccak256("receipts")
        });
    }

    function redemptionBy(uint256 key, ChannelTerms memory terms, uint96 amount)
        internal
        view
        returns (Redemption memory item)
    {
        item.terms = terms;
        item.voucher = voucherOf(amount);
        bytes32 digest = digestOf(hashes.voucher(hashes.channelTerms(terms), item.voucher));
        (item.r, item.vs) = vm.signCompact(key, digest);
    }

    function redemption(ChannelTerms memory terms, uint96 amount) internal view returns (Redemption memory) {
        return redemptionBy(SIGNER_KEY, terms, amount);
    }

    function signatureBy(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digestOf(structHash));
        return abi.encodePacked(r, s, v);
    }

    function stateOf(ChannelTerms memory terms) internal view returns (Channel memory) {
        return channels.channel(hashes.channelTerms(terms));
    }

    function credit(address asset, address account) internal view returns (uint256) {
        return channels.balanceOf(asset, account);
    }

    function eq(uint256 actual, uint256 expected) internal pure {
        if (actual != expected) revert Unequal(actual, expected);
    }

    function eq(address actual, address expected) internal pure {
        eq(uint160(actual), uint160(expected));
    }

    function eq(Status actual, Status expected) internal pure {
        eq(uint256(actual), uint256(expected));
    }

    function yes(bool condition) internal pure {
        if (!condition) revert Untrue();
    }

    error Unequal(uint256 actual, uint256 expected);
    error Untrue();
}
