/** `deposit`, `withdraw`, `balance`: the client's money with the payment contract. @module */
import { Command, Option } from "@commander-js/extra-typings";
import { type Address, toHex, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import { type Amount, formatAmount, formatCost, roomOf } from "@lloom/core/payments";
import { parseAddress, parsePositive } from "./arguments.ts";
import { refreshChannels } from "./channels.ts";
import { type MoneyContext, printResult, say, transact, withMoney } from "./context.ts";

/** `deposit <amount>` */
export function depositCommand(): Command<[string]> {
  return new Command("deposit")
    .description("move money of this account into the payment contract, to open channels from")
    .argument("<amount>", "in whole units of the asset, such as 0.05")
    .action((text, _options, command) => withMoney(command, (context) => deposit(context, text)));
}

/** `withdraw <amount|all>` */
export function withdrawCommand(): Command<[string], { to?: Address }> {
  return new Command("withdraw")
    .description("pay out what this account has in the payment contract, outside of channels")
    .argument("<amount>", "in whole units of the asset, or: all")
    .addOption(
      new Option("--to <address>", "who is paid (default: this account)").argParser(parseAddress),
    )
    .action((text, { to }, command) =>
      withMoney(command, (context) => withdraw(context, text, to))
    );
}

/** `balance` */
export function balanceCommand(): Command {
  return new Command("balance")
    .description("tell what this account has, and where")
    .action((_options, command) => withMoney(command, balance));
}

async function deposit(context: MoneyContext, text: string): Promise<void> {
  const { format, funds: { asset, chain } } = context;
  const amount = parsePositive(text, asset);
  say(
    format,
    `moving ${formatAmount(amount, asset)} from ${account(context)} into the payment contract ` +
      `${toChecksumAddress(chain.contract)} on chain ${chain.chainId}`,
  );
  const transaction = await transact(
    context,
    (actions) => actions.deposit(wish(), asset.address, amount),
  );
  const credit = formatAmount(await creditOf(context), asset);
  printResult(
    format,
    { transaction, deposited: formatAmount(amount, asset), credit },
    [["transaction", transaction], ["contract", `${credit}; channels are opened from it first`]],
  );
}

async function withdraw(
  context: MoneyContext,
  text: string,
  to: Address = context.wallet.identity.address,
): Promise<void> {
  const { format, funds: { asset } } = context;
  const credit = await creditOf(context);
  const amount = text === "all" ? credit : parsePositive(text, asset);
  if (amount > credit || amount === 0n) {
    const asked = text === "all" ? "all" : formatAmount(amount, asset);
    throw new LloomError(
      "insufficient_funds",
      `withdraw: ${asked} was asked for, and ${formatAmount(credit, asset)} is in the payment ` +
        "contract, outside of channels; `channel close` frees what a channel holds",
    );
  }
  say(format, `paying ${formatAmount(amount, asset)} out to ${toChecksumAddress(to)}`);
  const transaction = await transact(
    context,
    (actions) => actions.withdraw(wish(), asset.address, amount, to),
  );
  const left = formatAmount(await creditOf(context), asset);
  const withdrawn = formatAmount(amount, asset);
  printResult(
    format,
    { transaction, withdrawn, to: toChecksumAddress(to), credit: left },
    [["transaction", transaction], ["paid out", withdrawn], ["contract", left]],
  );
}

async function balance(context: MoneyContext): Promise<void> {
  const { format, wallet, funds: { asset, chain } } = context;
  const { address } = wallet.identity;
  const { reader } = await wallet.chain();
  const [channels, credit, balance, coin] = await Promise.all([
    refreshChannels(context),
    creditOf(context),
    reader.balance(asset.address, address),
    reader.asset(ZERO_ADDRESS),
  ]);
  const live = channels.filter(({ status }) => status === "open" || status === "closing");
  const inChannels = live.reduce((sum, { deposit, settled }) => sum + deposit - settled, 0n);
  const unspent = live.reduce((sum, channel) => sum + roomOf(channel), 0n);
  const gas = asset.address === ZERO_ADDRESS
    ? undefined
    : formatAmount(await reader.balance(ZERO_ADDRESS, address), coin);
  const result = {
    account: account(context),
    chainId: chain.chainId,
    contract: toChecksumAddress(chain.contract),
    asset,
    balance: formatAmount(balance, asset),
    ...(gas !== undefined && { gas }),
    credit: formatAmount(credit, asset),
    inChannels: formatAmount(inChannels, asset),
    unspentInChannels: formatCost(unspent, asset),
    openChannels: live.length,
  };
  printResult(format, result, [
    ["account", `${result.account} on chain ${chain.chainId}`],
    ["balance", result.balance],
    ["for gas", gas],
    ["contract", `${result.credit}${credit > 0n ? "; `withdraw` pays it out" : ""}`],
    [
      "channels",
      live.length === 0
        ? "none"
        : `${result.inChannels} in ${live.length}, of which ${result.unspentInChannels} is unspent`,
    ],
  ]);
}

async function creditOf({ wallet, funds: { asset } }: MoneyContext): Promise<Amount> {
  const { reader } = await wallet.chain();
  return await reader.credit(asset.address, wallet.identity.address);
}

function account({ wallet }: MoneyContext): string {
  return toChecksumAddress(wallet.identity.address);
}

/** A name for what one command wants, which nothing else wants. */
function wish(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(16)));
}
