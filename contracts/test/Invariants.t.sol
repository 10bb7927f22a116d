// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Handler} from "./Handler.sol";

/// @notice The rules that hold after any sequence of calls, in native coin and in tokens at once.
contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private handler;

    error Broken(string rule);

    function setUp() public {
        handler = new Handler();
    }

    /// @notice Foundry asks what to call.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice Foundry asks which functions to call.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), actions());
    }

    function actions() private view returns (bytes4[] memory selectors) {
        selectors = new bytes4[](15);
        selectors[0] = handler.deposit.selector;
        selectors[1] = handler.withdraw.selector;
        selectors[2] = handler.open.selector;
        selectors[3] = handler.openBySig.selector;
        selectors[4] = handler.topUp.selector;
        selectors[5] = handler.redeem.selector;
        selectors[6] = handler.redeemAndClose.selector;
        selectors[7] = handler.redeemMany.selector;
        selectors[8] = handler.redeemForged.selector;
        selectors[9] = handler.closeByExecutor.selector;
        selectors[10] = handler.requestClose.selector;
        selectors[11] = handler.finalize.selector;
        selectors[12] = handler.closeWithConsent.selector;
        selectors[13] = handler.pass.selector;
        selectors[14] = handler.passToClosing.selector;
    }

    /// @notice 1: what is owed is what is held, and what came in less what went out. 2 to 6, which the handler
    /// watches: settled stays within deposit and promises and never falls, the executor's credit follows it, forged
    /// vouchers pay nothing, nothing is finalized early, closed ids stay closed.
    function invariant_allRulesHold() public view {
        address[2] memory assets = [address(0), handler.tokenAddress()];
        for (uint256 i = 0; i < assets.length; ++i) {
            (uint256 owed, uint256 held, uint256 expected) = handler.accounts(assets[i]);
            if (owed != held || held != expected) revert Broken("money is conserved");
        }
        string memory rule = handler.violation();
        if (bytes(rule).length != 0) revert Broken(rule);
    }

    /// @notice A rule that is never put to the test is not proven: every kind of call can succeed.
    function test_everyActionCanSucceed() public {
        handler.deposit(0, 1e9);
        handler.deposit(1, 1e9);
        handler.withdraw(0, true, 1);
        handler.open(0, 100, false);
        handler.open(1, 100, true);
        handler.openBySig(2, 100);
        handler.open(3, 100, false);
        handler.topUp(0, 100);
        handler.redeem(0, 50);
        handler.redeemMany(60);
        handler.redeemForged(0, 70);
        handler.redeemAndClose(0, 80);
        handler.closeByExecutor(1);
        handler.closeWithConsent(2, 50);
        handler.requestClose(3);
        handler.pass(1);
        handler.passToClosing(3, false);
        handler.finalize(3);
        bytes4[] memory selectors = actions();
        for (uint256 i = 0; i < selectors.length; ++i) {
            if (handler.succeeded(selectors[i]) == 0) revert Broken("every action can succeed");
        }
        invariant_allRulesHold();
    }
}
