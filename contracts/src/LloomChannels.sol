// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ChannelTerms, TypedData, Voucher} from "./TypedData.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Where a channel is in its life. Closed is for ever: the same terms never open again.
enum Status {
    None,
    Open,
    Closing,
    Closed
}

/// @notice What is stored of a channel: one slot.
/// @param deposit Base units put in. Once closed it equals `settled`.
/// @param settled Base units paid to the executor; never decreases.
/// @param closesAt Unix seconds from which a closing channel may be finalized; zero before.
/// @param status Where the channel is in its life.
struct Channel {
    uint96 deposit;
    uint96 settled;
    uint40 closesAt;
    Status status;
}

/// @notice A voucher to be redeemed.
/// @param terms The channel's terms.
/// @param voucher What was promised.
/// @param r First half of the signature by `terms.signer`.
/// @param vs Second half, with the recovery id as its highest bit (ERC-2098).
struct Redemption {
    ChannelTerms terms;
    Voucher voucher;
    bytes32 r;
    bytes32 vs;
}

/// @notice What came of a redemption.
enum Outcome {
    Paid,
    NotOpen,
    NothingDue,
    BadSignature
}

/// @title Payment channels with cumulative vouchers
/// @notice A client locks a deposit for one executor and pays by signing ever larger vouchers off chain; the
/// executor redeems the newest one when it likes. All payments are credits in a ledger, withdrawn by their owners.
/// @dev No owner, no pause, no fee, no upgrade. Tokens whose balances change by themselves are not supported:
/// executors refuse them. A voucher is checked by ecrecover alone, so that nobody can revoke it, whatever code an
/// account has or gets (ERC-1271, EIP-7702).
contract LloomChannels is EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice `asset` of the chain's native coin.
    address public constant NATIVE = address(0);
    /// @notice Shortest time that an executor has to redeem after the client asks to close.
    uint32 public constant MIN_CLOSE_DELAY = 15 minutes;
    /// @notice Longest time that a client can have to wait for its deposit.
    uint32 public constant MAX_CLOSE_DELAY = 30 days;
    /// @notice Longest time that an executor can bind itself to a consent.
    uint64 public constant MAX_CONSENT_LIFETIME = 10 minutes;

    /// @notice Base units of each asset that each account may withdraw.
    mapping(address asset => mapping(address account => uint256 amount)) public balanceOf;

    mapping(bytes32 channelId => Channel channel) private _channels;

    /// @notice An account was credited with what arrived.
    event Deposited(address indexed asset, address indexed account, uint256 amount);
    /// @notice An account's credit was paid out.
    event Withdrawn(address indexed asset, address indexed account, address to, uint256 amount);
    /// @notice A channel was opened. The event carries its whole terms.
    event ChannelOpened(
        bytes32 indexed channelId,
        address indexed client,
        address indexed executor,
        address asset,
        address signer,
        uint32 closeDelay,
        uint96 salt,
        uint96 deposit
    );
    /// @notice A channel's deposit grew to `deposit`.
    event ToppedUp(bytes32 indexed channelId, uint96 amount, uint96 deposit);
    /// @notice A voucher paid `paid`, `settled` in all so far.
    event Redeemed(
        bytes32 indexed channelId,
        address indexed executor,
        uint96 paid,
        uint96 settled,
        uint64 requests,
        uint64 inboundTokens,
        uint64 outboundTokens,
        bytes32 receiptsRoot
    );
    /// @notice An item of a batch paid nothing.
    event RedemptionSkipped(bytes32 indexed channelId, Outcome outcome);
    /// @notice The client asked to close: the executor has until `closesAt` to redeem.
    event CloseRequested(bytes32 indexed channelId, address indexed executor, uint40 closesAt);
    /// @notice A channel ended, with `settled` to the executor in all and `refunded` back to the client.
    event ChannelClosed(bytes32 indexed channelId, address indexed executor, uint96 settled, uint96 refunded);

    /// @notice Only the channel's client may do this.
    error NotClient();
    /// @notice Only the channel's executor may do this.
    error NotExecutor();
    /// @notice Terms without client, executor or signer, or with a delay out of bounds.
    error InvalidTerms();
    /// @notice An amount of zero.
    error ZeroAmount();
    /// @notice A payment to nobody.
    error ZeroAddress();
    /// @notice The value sent does not match the amount, or came with a token.
    error WrongValue();
    /// @notice The native coin cannot be pulled.
    error NotToken();
    /// @notice The account's credit is smaller than the amount.
    error InsufficientBalance(uint256 available, uint256 needed);
    /// @notice The channel's status does not allow this.
    error WrongStatus(Status status);
    /// @notice The redemption pays nothing.
    error NotRedeemable(Outcome outcome);
    /// @notice Not signed by whom it must be.
    error InvalidSignature();
    /// @notice The signature's deadline has passed.
    error Expired();
    /// @notice The consent's deadline lies further ahead than any consent may bind.
    error DeadlineTooFar();
    /// @notice The channel cannot be finalized yet.
    error TooEarly(uint40 closesAt);
    /// @notice The consent is for less than was paid, or more than was deposited.
    error AmountOutOfRange(uint96 settled, uint96 deposit);

    constructor() EIP712(TypedData.DOMAIN_NAME, TypedData.DOMAIN_VERSION) {}

    /// @notice Credits an account with what is sent along, or pulled from the caller.
    /// @param asset Token, or zero for the native coin.
    /// @param account Whom to credit.
    /// @param amount Base units; for a token that takes a fee, less is credited.
    function deposit(address asset, address account, uint256 amount) external payable nonReentrant {
        if (account == address(0)) revert ZeroAddress();
        uint256 arrived = amount;
        if (asset == NATIVE) {
            if (msg.value != amount) revert WrongValue();
        } else {
            if (msg.value != 0) revert WrongValue();
            arrived = _pull(asset, amount);
        }
        if (arrived == 0) revert ZeroAmount();
        balanceOf[asset][account] += arrived;
        emit Deposited(asset, account, arrived);
    }

    /// @notice Pays out of the caller's credit.
    /// @param asset Token, or zero for the native coin.
    /// @param to Who receives.
    /// @param amount Base units.
    function withdraw(address asset, address to, uint256 amount) external nonReentrant {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        _debit(asset, msg.sender, amount);
        emit Withdrawn(asset, msg.sender, to, amount);
        if (asset == NATIVE) Address.sendValue(payable(to), amount);
        else IERC20(asset).safeTransfer(to, amount);
    }

    /// @notice Opens a channel, paid with the native coin sent along, else out of the caller's credit.
    /// @param terms The channel's terms; the caller is its client.
    /// @param amount The deposit, in base units.
    /// @return channelId The channel's id.
    function open(ChannelTerms calldata terms, uint96 amount) external payable returns (bytes32 channelId) {
        if (msg.sender != terms.client) revert NotClient();
        _collect(terms.asset, amount);
        return _open(terms, amount);
    }

    /// @notice Opens a channel, paid with tokens that the caller has allowed this contract to pull.
    /// @param terms The channel's terms; the caller is its client.
    /// @param amount Base units; for a token that takes a fee, the deposit is what arrives.
    /// @return channelId The channel's id.
    function openPull(ChannelTerms calldata terms, uint96 amount) external nonReentrant returns (bytes32 channelId) {
        if (msg.sender != terms.client) revert NotClient();
        if (terms.asset == NATIVE) revert NotToken();
        return _open(terms, SafeCast.toUint96(_pull(terms.asset, amount)));
    }

    /// @notice Opens a channel for a client that signed for it, paid out of the client's credit.
    /// @param terms The channel's terms.
    /// @param amount The deposit, in base units.
    /// @param deadline Unix seconds until which the signature counts.
    /// @param signature ChannelOpen, by the client's key or by its contract (ERC-1271).
    /// @return channelId The channel's id.
    function openBySig(ChannelTerms calldata terms, uint96 amount, uint64 deadline, bytes calldata signature)
        external
        returns (bytes32 channelId)
    {
        if (block.timestamp > deadline) revert Expired();
        bytes32 structHash = TypedData.hashChannelOpen(TypedData.hashChannelTerms(terms), amount, deadline);
        _requireSignedBy(terms.client, structHash, signature);
        _debit(terms.asset, terms.client, amount);
        return _open(terms, amount);
    }

    /// @notice Adds to an open channel, paid with the native coin sent along, else out of the caller's credit.
    /// @param terms The channel's terms.
    /// @param amount Base units.
    function topUp(ChannelTerms calldata terms, uint96 amount) external payable {
        (bytes32 channelId, Channel storage channel_) = _find(terms);
        if (channel_.status != Status.Open) revert WrongStatus(channel_.status);
        if (amount == 0) revert ZeroAmount();
        _collect(terms.asset, amount);
        uint96 total = channel_.deposit + amount;
        channel_.deposit = total;
        emit ToppedUp(channelId, amount, total);
    }

    /// @notice Credits the executor with what a voucher promises and was not paid yet. Anyone may call.
    /// @param item The voucher.
    /// @return paid Base units credited: up to the deposit, less what was settled before.
    function redeem(Redemption calldata item) external returns (uint96 paid) {
        Outcome outcome;
        (, paid, outcome) = _redeem(item);
        if (outcome != Outcome.Paid) revert NotRedeemable(outcome);
    }

    /// @notice Redeems many vouchers. An item that pays nothing is skipped and takes nothing from the others.
    /// @param items The vouchers.
    function redeemMany(Redemption[] calldata items) external {
        for (uint256 i = 0; i < items.length; ++i) {
            (bytes32 channelId,, Outcome outcome) = _redeem(items[i]);
            if (outcome != Outcome.Paid) emit RedemptionSkipped(channelId, outcome);
        }
    }

    /// @notice Redeems the last voucher and closes at once. Closes also if the voucher was redeemed before, so that
    /// nobody can hinder the executor by redeeming it first.
    /// @param item The voucher; the caller is its channel's executor.
    function redeemAndClose(Redemption calldata item) external {
        if (msg.sender != item.terms.executor) revert NotExecutor();
        (bytes32 channelId,, Outcome outcome) = _redeem(item);
        if (outcome != Outcome.Paid && outcome != Outcome.NothingDue) revert NotRedeemable(outcome);
        _close(channelId, item.terms);
    }

    /// @notice Closes at once, without a further voucher.
    /// @param terms The channel's terms; the caller is its executor.
    function closeByExecutor(ChannelTerms calldata terms) external {
        if (msg.sender != terms.executor) revert NotExecutor();
        (bytes32 channelId, Channel storage channel_) = _find(terms);
        _requireLive(channel_.status);
        _close(channelId, terms);
    }

    /// @notice Starts the delay after which the channel may be finalized.
    /// @param terms The channel's terms; the caller is its client.
    function requestClose(ChannelTerms calldata terms) external {
        if (msg.sender != terms.client) revert NotClient();
        (bytes32 channelId, Channel storage channel_) = _find(terms);
        if (channel_.status != Status.Open) revert WrongStatus(channel_.status);
        uint40 closesAt = SafeCast.toUint40(block.timestamp + terms.closeDelay);
        channel_.closesAt = closesAt;
        channel_.status = Status.Closing;
        emit CloseRequested(channelId, terms.executor, closesAt);
    }

    /// @notice Ends a channel whose delay has passed. Anyone may call; until somebody does, vouchers count.
    /// @param terms The channel's terms.
    function finalize(ChannelTerms calldata terms) external {
        (bytes32 channelId, Channel storage channel_) = _find(terms);
        if (channel_.status != Status.Closing) revert WrongStatus(channel_.status);
        if (block.timestamp < channel_.closesAt) revert TooEarly(channel_.closesAt);
        _close(channelId, terms);
    }

    /// @notice Closes at once at an amount that the executor agreed to.
    /// @param terms The channel's terms; the caller is its client.
    /// @param finalAmount Base units that the executor gets in all.
    /// @param deadline Unix seconds until which the consent counts, at most {MAX_CONSENT_LIFETIME} ahead.
    /// @param signature CloseConsent, by the executor's key or by its contract (ERC-1271).
    function closeWithConsent(
        ChannelTerms calldata terms,
        uint96 finalAmount,
        uint64 deadline,
        bytes calldata signature
    ) external {
        if (msg.sender != terms.client) revert NotClient();
        if (block.timestamp > deadline) revert Expired();
        if (deadline > block.timestamp + MAX_CONSENT_LIFETIME) revert DeadlineTooFar();
        (bytes32 channelId, Channel storage channel_) = _find(terms);
        _requireLive(channel_.status);
        uint96 settled = channel_.settled;
        if (finalAmount < settled || finalAmount > channel_.deposit) {
            revert AmountOutOfRange(settled, channel_.deposit);
        }
        _requireSignedBy(terms.executor, TypedData.hashCloseConsent(channelId, finalAmount, deadline), signature);
        channel_.settled = finalAmount;
        balanceOf[terms.asset][terms.executor] += finalAmount - settled;
        _close(channelId, terms);
    }

    /// @notice A channel as stored; all zero if there never was one.
    function channel(bytes32 channelId) external view returns (Channel memory) {
        return _channels[channelId];
    }

    /// @notice The id of the channel with these terms, opened or not.
    function channelIdOf(ChannelTerms calldata terms) external pure returns (bytes32) {
        return TypedData.hashChannelTerms(terms);
    }

    /// @notice The EIP-712 domain separator of everything signed for this contract on this chain.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _open(ChannelTerms calldata terms, uint96 amount) private returns (bytes32 channelId) {
        if (
            terms.client == address(0) || terms.executor == address(0) || terms.signer == address(0)
                || terms.closeDelay < MIN_CLOSE_DELAY || terms.closeDelay > MAX_CLOSE_DELAY
        ) revert InvalidTerms();
        if (amount == 0) revert ZeroAmount();
        Channel storage channel_;
        (channelId, channel_) = _find(terms);
        if (channel_.status != Status.None) revert WrongStatus(channel_.status);
        channel_.deposit = amount;
        channel_.status = Status.Open;
        emit ChannelOpened(
            channelId, terms.client, terms.executor, terms.asset, terms.signer, terms.closeDelay, terms.salt, amount
        );
    }

    /// @dev Never reverts, so that no item of a batch can spoil the others. The signature comes last, as the dearest.
    function _redeem(Redemption calldata item) private returns (bytes32 channelId, uint96 paid, Outcome outcome) {
        ChannelTerms calldata terms = item.terms;
        Voucher calldata voucher = item.voucher;
        Channel storage channel_;
        (channelId, channel_) = _find(terms);
        Channel memory before = channel_;
        if (before.status != Status.Open && before.status != Status.Closing) return (channelId, 0, Outcome.NotOpen);

        uint96 settled = voucher.cumulativeAmount < before.deposit ? voucher.cumulativeAmount : before.deposit;
        if (settled <= before.settled) return (channelId, 0, Outcome.NothingDue);

        bytes32 digest = _hashTypedDataV4(TypedData.hashVoucher(channelId, voucher));
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecover(digest, item.r, item.vs);
        if (fault != ECDSA.RecoverError.NoError || signer != terms.signer) {
            return (channelId, 0, Outcome.BadSignature);
        }

        paid = settled - before.settled;
        channel_.settled = settled;
        balanceOf[terms.asset][terms.executor] += paid;
        emit Redeemed(
            channelId,
            terms.executor,
            paid,
            settled,
            voucher.requests,
            voucher.inboundTokens,
            voucher.outboundTokens,
            voucher.receiptsRoot
        );
    }

    function _close(bytes32 channelId, ChannelTerms calldata terms) private {
        Channel storage channel_ = _channels[channelId];
        uint96 settled = channel_.settled;
        uint96 refunded = channel_.deposit - settled;
        channel_.deposit = settled;
        channel_.status = Status.Closed;
        if (refunded != 0) balanceOf[terms.asset][terms.client] += refunded;
        emit ChannelClosed(channelId, terms.executor, settled, refunded);
    }

    /// @dev Takes the value sent along, or else the caller's credit.
    function _collect(address asset, uint256 amount) private {
        if (msg.value == 0) _debit(asset, msg.sender, amount);
        else if (asset != NATIVE || msg.value != amount) revert WrongValue();
    }

    function _debit(address asset, address account, uint256 amount) private {
        uint256 available = balanceOf[asset][account];
        if (available < amount) revert InsufficientBalance(available, amount);
        balanceOf[asset][account] = available - amount;
    }

    /// @dev Tells what arrived, which a token with a fee makes less. Callers are nonReentrant: a nested deposit
    /// would be counted twice.
    function _pull(address asset, uint256 amount) private returns (uint256 arrived) {
        uint256 before = IERC20(asset).balanceOf(address(this));
        IERC20(asset).safeTransferFrom(msg.sender, address(this), amount);
        return IERC20(asset).balanceOf(address(this)) - before;
    }

    /// @dev An account's key counts even where it has code of its own (EIP-7702).
    function _requireSignedBy(address account, bytes32 structHash, bytes calldata signature) private view {
        bytes32 digest = _hashTypedDataV4(structHash);
        (address recovered, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (fault == ECDSA.RecoverError.NoError && recovered == account) return;
        if (!SignatureChecker.isValidERC1271SignatureNowCalldata(account, digest, signature)) {
            revert InvalidSignature();
        }
    }

    function _requireLive(Status status) private pure {
        if (status != Status.Open && status != Status.Closing) revert WrongStatus(status);
    }

    function _find(ChannelTerms calldata terms) private view returns (bytes32 channelId, Channel storage channel_) {
        channelId = TypedData.hashChannelTerms(terms);
        channel_ = _channels[channelId];
    }
}
