// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ExecutorBond} from "../src/ExecutorBond.sol";
import {ChannelTerms, Redemption} from "../src/LloomChannels.sol";
import {Base} from "./Base.sol";
import {vm} from "./Vm.sol";

/// @notice Gas of each call as a transaction of its own, compared with `snapshots/` by `contracts:test`.
contract GasTest is Base {
    function test_native() public {
        ChannelTerms memory terms = termsFor(NATIVE);
        openWith(terms, 1 ether);
        vm.snapshotGasLastCall("open, native");
        vm.prank(CLIENT);
        channels.topUp{value: 1 ether}(terms, 1 ether);
        vm.snapshotGasLastCall("topUp, native");
        channels.redeem(redemption(terms, 0.1 ether));
        vm.snapshotGasLastCall("redeem, first");
        channels.redeem(redemption(terms, 0.2 ether));
        vm.snapshotGasLastCall("redeem, later");
        vm.prank(CLIENT);
        channels.requestClose(terms);
        vm.snapshotGasLastCall("requestClose");
        vm.warp(START + DELAY);
        channels.finalize(terms);
        vm.snapshotGasLastCall("finalize");
        vm.prank(CLIENT);
        channels.withdraw(NATIVE, CLIENT, 1 ether);
        vm.snapshotGasLastCall("withdraw, native");
    }

    function test_token() public {
        ChannelTerms memory terms = termsFor(address(token));
        openWith(terms, 1 ether);
        vm.snapshotGasLastCall("openPull, token");
        vm.prank(CLIENT);
        channels.deposit(address(token), CLIENT, 1 ether);
        vm.snapshotGasLastCall("deposit, token");
        terms.salt = 2;
        vm.prank(CLIENT);
        channels.open(terms, 0.5 ether);
        vm.snapshotGasLastCall("open, token from credit");
        Redemption memory item = redemption(terms, 0.1 ether);
        vm.prank(EXECUTOR);
        channels.redeemAndClose(item);
        vm.snapshotGasLastCall("redeemAndClose, token");
    }

    function test_redeemMany() public {
        measureBatch(1, "redeemMany, 1");
        measureBatch(10, "redeemMany, 10");
        measureBatch(100, "redeemMany, 100");
    }

    function test_bond() public {
        ExecutorBond bond = new ExecutorBond(channels);
        vm.prank(CLIENT);
        bond.stake{value: 1 ether}();
        vm.snapshotGasLastCall("stake");
    }

    function measureBatch(uint96 size, string memory name) private {
        Redemption[] memory items = new Redemption[](size);
        for (uint96 i = 0; i < size; ++i) {
            ChannelTerms memory terms = termsFor(NATIVE);
            terms.salt = size * 1000 + i;
            openWith(terms, 1 ether);
            items[i] = redemption(terms, 0.1 ether);
        }
        channels.redeemMany(items);
        vm.snapshotGasLastCall(name);
    }
}
