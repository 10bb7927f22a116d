// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LloomChannels} from "./LloomChannels.sol";
import {LlmRequestCommitment, LlmResponseCommitment, TypedData} from "./TypedData.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice A signature in two words (ERC-2098).
/// @param r First half.
/// @param vs Second half, with the recovery id as its highest bit.
struct CompactSignature {
    bytes32 r;
    bytes32 vs;
}

/// @title What executors stake on their word
/// @notice An executor may stake native coin. Whoever shows that it signed a receipt beyond the request's terms, or
/// two receipts for one request, takes the stake: a tenth goes to the reporter, the rest is burned, so that an
/// executor caught cannot save more than a tenth by reporting itself first.
/// @dev Evidence is signatures alone; there is no judge. No owner, no pause, no fee, no upgrade.
contract ExecutorBond {
    /// @notice An executor's stake.
    /// @param amount In wei.
    /// @param releasableAt Unix seconds from which it may be taken back; zero while it stays.
    struct Bond {
        uint128 amount;
        uint64 releasableAt;
    }

    /// @notice How long a stake can still be lost after its owner wants it back.
    uint64 public constant UNSTAKE_DELAY = 7 days;
    /// @notice The reporter gets one part in this many.
    uint256 public constant REPORTER_SHARE = 10;
    /// @notice Where the rest goes; nobody has its key.
    address payable public constant BURNED = payable(0x000000000000000000000000000000000000dEaD);

    /// @notice Receipts are signed for this contract's EIP-712 domain.
    LloomChannels public immutable CHANNELS;

    /// @notice The stake of each executor.
    mapping(address executor => Bond bond) public bonds;
    /// @notice Requests for which an executor has lost its stake: one breach costs one stake.
    mapping(address executor => mapping(bytes32 requestHash => bool)) public punished;

    /// @notice A stake grew to `amount`.
    event Staked(address indexed executor, uint256 amount);
    /// @notice A stake may be taken back from `releasableAt` on.
    event UnstakeRequested(address indexed executor, uint64 releasableAt);
    /// @notice A stake was taken back.
    event Unstaked(address indexed executor, address to, uint256 amount);
    /// @notice A stake was lost for what was signed on a request.
    event Slashed(address indexed executor, bytes32 indexed requestHash, address indexed reporter, uint256 amount);

    /// @notice A stake of nothing.
    error ZeroAmount();
    /// @notice A payment to nobody.
    error ZeroAddress();
    /// @notice The executor has nothing at stake.
    error NothingStaked();
    /// @notice The stake was asked for already.
    error AlreadyRequested();
    /// @notice The stake was not asked for, or its delay has not passed.
    error NotReleasable(uint64 releasableAt);
    /// @notice The receipt answers another request, or the receipts answer two.
    error UnrelatedReceipt();
    /// @notice The executor did not sign that.
    error InvalidSignature();
    /// @notice The receipt keeps to the request's terms.
    error NoBreach();
    /// @notice Both receipts are the same.
    error SameReceipt();
    /// @notice The executor has lost a stake for this request before.
    error AlreadyPunished();

    /// @param channels Whose EIP-712 domain receipts are signed for.
    constructor(LloomChannels channels) {
        CHANNELS = channels;
    }

    /// @notice Adds to the caller's stake, and takes back a request to unstake.
    function stake() external payable {
        if (msg.value == 0) revert ZeroAmount();
        Bond storage bond = bonds[msg.sender];
        // The supply of no native coin reaches 2^128.
        bond.amount += uint128(msg.value);
        bond.releasableAt = 0;
        emit Staked(msg.sender, bond.amount);
    }

    /// @notice Starts the delay after which the caller may take its stake back.
    function requestUnstake() external {
        Bond storage bond = bonds[msg.sender];
        if (bond.amount == 0) revert NothingStaked();
        if (bond.releasableAt != 0) revert AlreadyRequested();
        uint64 releasableAt = uint64(block.timestamp) + UNSTAKE_DELAY;
        bond.releasableAt = releasableAt;
        emit UnstakeRequested(msg.sender, releasableAt);
    }

    /// @notice Pays the caller's stake out once its delay has passed.
    /// @param to Who receives.
    function unstake(address payable to) external {
        if (to == address(0)) revert ZeroAddress();
        Bond memory bond = bonds[msg.sender];
        if (bond.amount == 0) revert NothingStaked();
        if (bond.releasableAt == 0 || block.timestamp < bond.releasableAt) revert NotReleasable(bond.releasableAt);
        delete bonds[msg.sender];
        emit Unstaked(msg.sender, to, bond.amount);
        Address.sendValue(to, bond.amount);
    }

    /// @notice Takes an executor's stake for a receipt above the request's `maxTokens`, or at other prices.
    /// @param request What was asked. Its hash in the receipt proves that the executor knew it.
    /// @param response The receipt.
    /// @param signature The receipt's, by the request's executor.
    function reportBreach(
        LlmRequestCommitment calldata request,
        LlmResponseCommitment calldata response,
        CompactSignature calldata signature
    ) external {
        if (response.requestHash != TypedData.hashRequest(request)) {
            revert UnrelatedReceipt();
        }
        if (_signerOf(response, signature) != request.executor) revert InvalidSignature();
        if (
            response.outboundTokens <= request.maxTokens && response.inboundPrice == request.inboundPrice
                && response.outboundPrice == request.outboundPrice
        ) revert NoBreach();
        _slash(request.executor, response.requestHash);
    }

    /// @notice Takes an executor's stake for two different receipts for one request.
    /// @param first A receipt.
    /// @param firstSignature The first receipt's.
    /// @param second Another receipt for the same request.
    /// @param secondSignature The second receipt's, by the same executor.
    function reportEquivocation(
        LlmResponseCommitment calldata first,
        CompactSignature calldata firstSignature,
        LlmResponseCommitment calldata second,
        CompactSignature calldata secondSignature
    ) external {
        if (first.requestHash != second.requestHash) revert UnrelatedReceipt();
        if (TypedData.hashResponse(first) == TypedData.hashResponse(second)) revert SameReceipt();
        address executor = _signerOf(first, firstSignature);
        if (executor != _signerOf(second, secondSignature)) revert InvalidSignature();
        _slash(executor, first.requestHash);
    }

    function _slash(address executor, bytes32 requestHash) private {
        uint256 amount = bonds[executor].amount;
        if (amount == 0) revert NothingStaked();
        if (punished[executor][requestHash]) revert AlreadyPunished();
        punished[executor][requestHash] = true;
        delete bonds[executor];
        emit Slashed(executor, requestHash, msg.sender, amount);
        uint256 reward = amount / REPORTER_SHARE;
        Address.sendValue(BURNED, amount - reward);
        Address.sendValue(payable(msg.sender), reward);
    }

    function _signerOf(LlmResponseCommitment calldata response, CompactSignature calldata signature)
        private
        view
        returns (address)
    {
        bytes32 digest = MessageHashUtils.toTypedDataHash(CHANNELS.domainSeparator(), TypedData.hashResponse(response));
        return ECDSA.recover(digest, signature.r, signature.vs);
    }
}
