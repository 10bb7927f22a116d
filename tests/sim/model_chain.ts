/** A chain: accounts, a pool of transactions, blocks, fees that move, and reorganizations. @module */
import { type Address, type Hash, type Hex, toHex } from "@lloom/core/bytes";
import type { Attempt, Call, ChannelEvent } from "@lloom/core/payments/chain";
import { keccak256 } from "./fake_primitives.ts";
import { type ContractRules, type Happened, ModelContract, Reverted } from "./model_contract.ts";
import type { Random } from "./random.ts";

/** A transaction as its account signed it. */
export interface ModelTransaction extends Call {
  readonly hash: Hash;
  readonly from: Address;
  readonly nonce: number;
  readonly gas: bigint;
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** A block, with the state after it. */
export interface ModelBlock {
  readonly number: bigint;
  readonly hash: Hash;
  readonly timestamp: number;
  readonly baseFee: bigint;
  readonly state: ModelState;
  readonly events: readonly ChannelEvent[];
  readonly executed: ReadonlyMap<Hash, boolean>;
  readonly transactions: readonly ModelTransaction[];
}

/** Everybody's money. */
export class ModelState {
  readonly coins: Map<Address, bigint>;
  readonly nonces: Map<Address, number>;
  readonly contract: ModelContract;
  /** Coins of the contract's account. */
  held: bigint;
  /** Spent on gas. */
  burned: bigint;

  constructor(rules: ContractRules, from?: ModelState) {
    this.coins = new Map(from?.coins);
    this.nonces = new Map(from?.nonces);
    this.contract = from?.contract.copy() ?? new ModelContract(rules);
    this.held = from?.held ?? 0n;
    this.burned = from?.burned ?? 0n;
  }

  /** All coins, wherever they are. */
  get total(): bigint {
    let sum = this.held + this.burned;
    for (const coins of this.coins.values()) sum += coins;
    return sum;
  }

  coinsOf(account: Address): bigint {
    return this.coins.get(account) ?? 0n;
  }

  nonceOf(account: Address): number {
    return this.nonces.get(account) ?? 0;
  }
}

/** Units of gas of any call. */
const GAS = 100_000n;
/** Blocks of history that reads and reorganizations may reach. */
const KEPT_BLOCKS = 4_000;
/** By which a transaction in the pool is replaced: a tenth. */
const REPLACE = { by: 11n, of: 10n } as const;

/** The chain. */
export class ModelChain {
  readonly contract: Address;
  readonly #rules: ContractRules;
  readonly #random: Random;
  readonly #blocks: ModelBlock[] = [];
  readonly #signed = new Map<Hex, ModelTransaction>();
  /** What each nonce of each account was first used for. */
  readonly #wishes = new Map<string, string>();
  #pool = new Map<string, ModelTransaction>();
  #baseFee = 10n;
  #salt = 0;

  constructor(
    contract: Address,
    rules: ContractRules,
    random: Random,
    coins: ReadonlyMap<Address, bigint>,
    nowS: number,
  ) {
    this.contract = contract;
    this.#rules = rules;
    this.#random = random;
    const state = new ModelState(rules);
    for (const [account, amount] of coins) state.coins.set(account, amount);
    this.#append(nowS, state, [], [], new Map());
  }

  /** A block; the newest without a number. */
  block(number?: bigint): ModelBlock {
    const first = this.#blocks[0]!.number;
    const at = number === undefined ? this.#blocks.length - 1 : Number(number - first);
    const block = this.#blocks[Math.max(0, at)];
    if (block === undefined) throw new RangeError("read block: there is none yet");
    return block;
  }

  /** The blocks of a range, as far as they are there. */
  blocks(from: bigint, to: bigint): readonly ModelBlock[] {
    return this.#blocks.filter(({ number }) => number >= from && number <= to);
  }

  /** The most that a channel ever held, as the chain stands now. */
  depositOf(channelId: Hash): bigint {
    let most = 0n;
    for (const { change, channelId: id } of this.#blocks.flatMap(({ events }) => events)) {
      if (id !== channelId || (change.type !== "opened" && change.type !== "topped_up")) continue;
      if (change.deposit > most) most = change.deposit;
    }
    return most;
  }

  /** Whether transactions wait. */
  get isBusy(): boolean {
    return this.#pool.size > 0;
  }

  /** Makes a transaction known to whoever holds its raw form. */
  signed(transaction: Omit<ModelTransaction, "hash">): Attempt {
    const { from, to, data, value, nonce, gas, maxFeePerGas, maxPriorityFeePerGas } = transaction;
    const text = [from, to, data, value, nonce, gas, maxFeePerGas, maxPriorityFeePerGas].join();
    const hash = toHex(keccak256(new TextEncoder().encode(text)));
    this.#signed.set(hash, { ...transaction, hash });
    return { hash, raw: hash, maxFeePerGas, maxPriorityFeePerGas };
  }

  /** Whether all transactions of an account with that nonce that were ever broadcast do the same. */
  isOnlyOneOfItsNonce(raw: Hex): boolean {
    const { from, nonce, to, data, value } = this.#signed.get(raw)!;
    const key = `${from} ${nonce}`;
    const wish = `${to} ${data} ${value}`;
    const known = this.#wishes.get(key) ?? wish;
    this.#wishes.set(key, known);
    return known === wish;
  }

  /** How many blocks there are from a transaction's on; 0 if it is in none. */
  depthOf(hash: Hash): number {
    const at = this.#blocks.findIndex(({ executed }) => executed.has(hash));
    return at < 0 ? 0 : this.#blocks.length - at;
  }

  /** Takes a transaction into the pool, unless it is too late or pays too little more than another. */
  offer(raw: Hex): void {
    const transaction = this.#signed.get(raw);
    if (transaction === undefined) throw new RangeError("offer transaction: nobody signed it");
    const { from, nonce, maxFeePerGas } = transaction;
    if (nonce < this.block().state.nonceOf(from)) return;
    const key = `${from} ${nonce}`;
    const before = this.#pool.get(key);
    if (
      before !== undefined && maxFeePerGas * REPLACE.of < before.maxFeePerGas * REPLACE.by
    ) return;
    this.#pool.set(key, transaction);
  }

  /** Whether a call would succeed on a block's state. */
  succeeds(call: Call, from: Address, { state, timestamp }: ModelBlock): boolean {
    const trial = new ModelState(this.#rules, state);
    return this.#call(trial, from, call, timestamp) !== undefined;
  }

  /** Adds a block with what the pool has, as far as it pays enough. */
  mine(nowS: number): void {
    const { state: before, timestamp } = this.block();
    const atS = Math.max(nowS, timestamp + 1);
    let state = before;
    const happened: (Happened & { readonly transactionHash: Hash })[] = [];
    const executed = new Map<Hash, boolean>();
    const transactions: ModelTransaction[] = [];
    const waiting = [...this.#pool.values()].sort((a, b) => a.nonce - b.nonce);
    for (const transaction of waiting) {
      const { from, nonce, gas, maxFeePerGas, value, hash } = transaction;
      const ofAccount = state.nonceOf(from);
      if (nonce < ofAccount) this.#pool.delete(`${from} ${nonce}`);
      if (nonce !== ofAccount || maxFeePerGas < this.#baseFee) continue;
      if (state.coinsOf(from) < value + gas * maxFeePerGas) continue;
      // Not every block has room.
      if (this.#random.chance(0.1)) continue;
      if (state === before) state = new ModelState(this.#rules, before);
      const fee = GAS * this.#baseFee;
      state.coins.set(from, state.coinsOf(from) - fee);
      state.burned += fee;
      state.nonces.set(from, nonce + 1);
      const result = this.#call(state, from, transaction, atS);
      for (const one of result ?? []) happened.push({ ...one, transactionHash: hash });
      executed.set(hash, result !== undefined);
      transactions.push(transaction);
      this.#pool.delete(`${from} ${nonce}`);
    }
    this.#append(atS, state, happened, transactions, executed);
    this.#moveFee();
  }

  /**
   * Undoes the newest blocks and makes one more in their place.
   * @param forget whether their transactions are lost, so that somebody must broadcast them again
   */
  reorganize(depth: number, forget: boolean, nowS: number): void {
    const undone = this.#blocks.splice(Math.max(1, this.#blocks.length - depth));
    if (!forget) {
      for (const { transactions } of undone) {
        for (const one of transactions) this.#pool.set(`${one.from} ${one.nonce}`, one);
      }
    } else if (this.#random.chance(0.5)) this.#pool.clear();
    // The other branch is the longer one.
    for (let count = 0; count <= undone.length; count++) this.mine(nowS);
  }

  /** Lets gas cost what it costs on a quiet day. */
  calm(): void {
    this.#baseFee = 10n;
  }

  #moveFee(): void {
    const spike = this.#random.chance(0.03) ? 20n : 1n;
    const next = this.#baseFee * spike * BigInt(this.#random.whole(88, 112)) / 100n;
    this.#baseFee = next < 8n ? 8n : next > 400n ? 200n : next;
  }

  /** Executes a call on a state; undefined, with nothing changed, if it is reverted. */
  #call(
    state: ModelState,
    from: Address,
    { to, data, value }: Call,
    nowS: number,
  ): readonly Happened[] | undefined {
    if (to !== this.contract) throw new TypeError("execute call: only the contract is modelled");
    const coins = state.coinsOf(from);
    if (coins < value) return undefined;
    try {
      const trial = state.contract.copy();
      const { happened, out } = trial.call(from, data, value, nowS);
      state.contract.become(trial);
      state.coins.set(from, coins - value + out);
      state.held += value - out;
      return happened;
    } catch (thrown) {
      if (thrown instanceof Reverted) return undefined;
      throw thrown;
    }
  }

  #append(
    timestamp: number,
    state: ModelState,
    happened: readonly (Happened & { readonly transactionHash: Hash })[],
    transactions: readonly ModelTransaction[],
    executed: ReadonlyMap<Hash, boolean>,
  ): void {
    const number = (this.#blocks.at(-1)?.number ?? 0n) + 1n;
    const hash = toHex(keccak256(new TextEncoder().encode(`block ${number} ${this.#salt++}`)));
    const events = happened.map((one, logIndex) => ({
      ...one,
      ...{ blockNumber: number, blockHash: hash, logIndex, removed: false },
    }));
    this.#blocks.push({
      ...{ number, hash, timestamp, baseFee: this.#baseFee, state, events, executed, transactions },
    });
    if (this.#blocks.length > KEPT_BLOCKS) this.#blocks.shift();
  }
}
