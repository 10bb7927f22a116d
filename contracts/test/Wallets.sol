// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LloomChannels} from "../src/LloomChannels.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @notice A contract account that accepts what it was told to accept, until it changes its mind.
contract Wallet is IERC1271 {
    mapping(bytes32 digest => bool) private _approved;

    function approve(bytes32 digest, bool approved) external {
        _approved[digest] = approved;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return _approved[digest] ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @notice Calls into the channels again while it is paid.
contract ReentrantReceiver {
    LloomChannels private immutable CHANNELS;
    /// @notice Why the second withdrawal failed.
    bytes public failure;

    constructor(LloomChannels channels) payable {
        CHANNELS = channels;
    }

    function withdraw(uint256 amount) external {
        CHANNELS.withdraw(address(0), address(this), amount);
    }

    receive() external payable {
        try CHANNELS.withdraw(address(0), address(this), msg.value) {}
        catch (bytes memory reason) {
            failure = reason;
        }
    }
}
