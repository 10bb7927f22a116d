/** A chain in memory that mines, drops and reorganizes as told, for one account. @module */
import type { Hash, Hex } from "@lloom/core/bytes";
import type {
  Attempt,
  Observation,
  TransactionDraft,
  TransactionSigner,
} from "@lloom/core/payments/chain";

/** What a transaction of the model is: `data` names what it is for. */
type Transaction = Pick<TransactionDraft, "data" | "nonce" | "maxFeePerGas">;

interface Block {
  readonly transactions: readonly { readonly hash: Hash; readonly of: Transaction }[];
}

function encode(draft: TransactionDraft): Hex {
  const { data, nonce, maxFeePerGas, maxPriorityFeePerGas } = draft;
  const text = JSON.stringify([data, nonce, `${maxFeePerGas}`, `${maxPriorityFeePerGas}`]);
  return `0x${new TextEncoder().encode(text).toHex()}`;
}

function decode(raw: Hex): Transaction {
  const text = new TextDecoder().decode(Uint8Array.fromHex(raw.slice(2)));
  const [data, nonce, maxFee] = JSON.parse(text);
  return { data, nonce, maxFeePerGas: BigInt(maxFee) };
}

/** Signs for the model: a transaction is its own hash. */
export const modelSigner: Pick<TransactionSigner, "sign"> = {
  sign(draft): Attempt {
    const { maxFeePerGas, maxPriorityFeePerGas } = draft;
    const raw = encode(draft);
    return { hash: raw, raw, maxFeePerGas, maxPriorityFeePerGas };
  },
};

/** See the module. */
export class ModelChain {
  baseFee = 10n;
  readonly #confirmations: number;
  #blocks: Block[] = [];
  /** What was broadcast and not forgotten, by nonce: any of them may be mined. */
  readonly #pool = new Map<number, Map<Hash, Transaction>>();
  /** The chain as it was after each change, for endpoints that lag. */
  readonly #past: (readonly Block[])[] = [[]];
  #finalHeight = 0;

  constructor(confirmations: number) {
    this.#confirmations = confirmations;
  }

  broadcast(raw: Hex): void {
    const transaction = decode(raw);
    if (transaction.nonce < nonceOf(this.#blocks)) return;
    const same = this.#pool.get(transaction.nonce) ?? new Map<Hash, Transaction>();
    this.#pool.set(transaction.nonce, same.set(raw, transaction));
  }

  /** Adds a block with what can be executed now. @param pick which of several attempts it takes */
  mine(pick = 0): void {
    const transactions: { hash: Hash; of: Transaction }[] = [];
    for (let nonce = nonceOf(this.#blocks);; nonce++) {
      const able = [...this.#pool.get(nonce) ?? []]
        .filter(([, { maxFeePerGas }]) => maxFeePerGas >= this.baseFee);
      if (able.length === 0) break;
      const [hash, of] = able[pick % able.length]!;
      transactions.push({ hash, of });
    }
    this.#change([...this.#blocks, { transactions }]);
  }

  /** Takes back the newest blocks, but none that was final; with their transactions if `forgets`. */
  reorganize(depth: number, forgets: boolean): void {
    const kept = Math.max(this.#finalHeight, this.#blocks.length - depth);
    const undone = this.#blocks.slice(kept);
    this.#change(this.#blocks.slice(0, kept));
    for (const { hash, of } of undone.flatMap(({ transactions }) => transactions)) {
      if (forgets) this.#pool.get(of.nonce)?.delete(hash);
      else this.broadcast(hash);
    }
  }

  /** The same, however deep. */
  rewrite(height: number): void {
    this.#finalHeight = Math.min(this.#finalHeight, height);
    this.reorganize(this.#blocks.length - height, true);
  }

  /** Forgets what was not mined. */
  drop(): void {
    this.#pool.clear();
  }

  /** What an endpoint says that is so many changes behind. */
  observe(watched: readonly Hash[], behind = 0): Observation {
    const blocks = this.#past[Math.max(0, this.#past.length - 1 - behind)]!;
    const executed = new Map<Hash, { blockNumber: bigint; success: boolean }>();
    for (const [i, { transactions }] of blocks.entries()) {
      for (const { hash } of transactions) {
        if (watched.includes(hash)) {
          executed.set(hash, { blockNumber: BigInt(i + 1), success: true });
        }
      }
    }
    return {
      head: BigInt(blocks.length),
      baseFee: this.baseFee,
      priorityFee: 1n,
      nonce: nonceOf(blocks),
      finalNonce: nonceOf(blocks.slice(0, Math.max(0, blocks.length - this.#confirmations + 1))),
      executed,
    };
  }

  /** Whether no reorganization can undo what was executed for a purpose. */
  isFinal(data: string): boolean {
    return this.#blocks.slice(0, Math.max(0, this.#finalHeight))
      .some(({ transactions }) => transactions.some(({ of }) => of.data === data));
  }

  /** How often each purpose was executed. */
  executions(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { of } of this.#blocks.flatMap(({ transactions }) => transactions)) {
      counts.set(of.data, (counts.get(of.data) ?? 0) + 1);
    }
    return counts;
  }

  #change(blocks: Block[]): void {
    this.#blocks = blocks;
    this.#past.push(blocks);
    this.#finalHeight = Math.max(this.#finalHeight, blocks.length - this.#confirmations + 1);
  }
}

function nonceOf(blocks: readonly Block[]): number {
  return blocks.reduce((count, { transactions }) => count + transactions.length, 0);
}
