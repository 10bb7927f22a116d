// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LloomChannels} from "../src/LloomChannels.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token that anyone mints.
contract Token is ERC20("Token", "TKN") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice A token that burns a hundredth of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, amount);
        uint256 fee = amount / 100;
        super._update(from, address(0), fee);
        super._update(from, to, amount - fee);
    }
}

/// @notice A token that answers false instead of reverting.
contract FalseToken {
    function balanceOf(address) external pure returns (uint256) {
        return 1 ether;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return false;
    }
}

/// @notice A token that calls into the channels while it is pulled.
contract ReentrantToken is ERC20("Reentrant", "RE") {
    LloomChannels private immutable CHANNELS;
    bytes private _attack;
    /// @notice Why the attack failed; empty if it did not.
    bytes public failure;

    constructor(LloomChannels channels) {
        CHANNELS = channels;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(bytes calldata attack) external {
        _attack = attack;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        bytes memory attack = _attack;
        delete _attack;
        if (attack.length != 0) {
            (bool success, bytes memory result) = address(CHANNELS).call(attack);
            failure = success ? bytes("") : result;
        }
        return super.transferFrom(from, to, amount);
    }
}
