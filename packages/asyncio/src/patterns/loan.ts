/** Loans: what a pool gives to a borrower, and takes back. */

import { advice, InvalidStateError } from "../errors/errors.ts";
import type { Task } from "../kernel/task.ts";
import type { Ended } from "./release.ts";

/** What `pool.acquire` gives. Disposing of it gives the item back. */
export interface Loan<T> extends Disposable {
  /** What was lent. Reading it throws an InvalidStateError once it was given back. */
  readonly item: T;
  /**
   * It is broken: it will be closed when it comes back, and the `release` of its resource gets
   * `reason` as the error.
   */
  discard(reason?: unknown): void;
}

/** Who has borrowed something, and since when. */
export interface Borrower {
  /** Undefined for code outside every task. */
  readonly task: Task<unknown> | undefined;
  /** In seconds, on the clock of the loop. */
  readonly since: number;
}

/** Something that was opened. */
export interface Item<T> {
  readonly value: T;
  /** When its life is over, on the clock of the loop. */
  readonly until: number;
  idleSince: number;
}

/** Where a loan comes back to. */
interface Home<T> {
  cameBack(loan: Lent<T>, item: Item<T>, fault: Ended | undefined): void;
  readonly description: string;
}

export class Lent<T> implements Loan<T>, Borrower {
  readonly #home: Home<T>;
  readonly #item: Item<T>;
  readonly task: Task<unknown> | undefined;
  readonly since: number;
  #isBack = false;
  #fault: Ended | undefined = undefined;
  /** True until the borrower has gone on: if it asks for another one before, it has branches. */
  isFresh = false;

  constructor(home: Home<T>, item: Item<T>, task: Task<unknown> | undefined, since: number) {
    this.#home = home;
    this.#item = item;
    this.task = task;
    this.since = since;
  }

  get item(): T {
    if (!this.#isBack) return this.#item.value;
    const message = `\`loan.item\` was read when the loan had been given back to ${this.#home.description}${advice("Use it before the end of the block")}`;
    throw new InvalidStateError(message);
  }

  discard(reason?: unknown): void {
    this.#fault = { how: "failed", error: reason };
  }

  [Symbol.dispose](): void {
    if (this.#isBack) return;
    this.#isBack = true;
    this.#home.cameBack(this, this.#item, this.#fault);
  }
}
