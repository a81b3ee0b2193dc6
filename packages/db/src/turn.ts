/**
 * A request that waits for a connection of a pool. It stands in the pool's own line, among the bodies
 * that wait there, and begins in the call that hands it the connection: no step of a task lies in
 * between, in which the connection would be idle.
 */

import type { Task } from "asyncio-ts";
import type { Operation, Place, WaitList } from "asyncio-ts/lowlevel";
import type { Loan } from "asyncio-ts/patterns";
import type { Exchange } from "./exchange.ts";
import type { Session } from "./session.ts";

/** The place of a request in the line of a pool. */
export class Turn implements Pick<Place<Loan<Session>>, "task" | "offer" | "resume" | "fail"> {
  readonly exchange: Exchange;
  readonly #borrowing: Operation<Loan<Session>>;
  readonly #take: (loan: Loan<Session>) => boolean;
  readonly #left: (turn: Turn) => void;
  readonly #inWords: (error: unknown) => unknown;
  offer: unknown = undefined;
  // What a line keeps of a place in it.
  list: WaitList | undefined = undefined;
  listPrevious: Place | undefined = undefined;
  listNext: Place | undefined = undefined;

  /**
   * @param take - begins the request; false if the connection is none any more, and was given back
   * @param left - told once, when it is in line no more
   * @param inWords - what the caller is told when the pool has nothing for it any more
   */
  constructor(
    exchange: Exchange,
    borrowing: Operation<Loan<Session>>,
    take: (loan: Loan<Session>) => boolean,
    left: (turn: Turn) => void,
    inWords: (error: unknown) => unknown,
  ) {
    this.exchange = exchange;
    this.#borrowing = borrowing;
    this.#take = take;
    this.#left = left;
    this.#inWords = inWords;
  }

  get task(): Task<unknown> | undefined {
    return this.exchange.wait.task;
  }

  /** The line, as what is waited for. */
  get subject(): Operation<Loan<Session>>["subject"] {
    return this.#borrowing.subject;
  }

  /** Stands in line, at its end. */
  join(): void {
    this.#borrowing.enlist(this as unknown as Place<Loan<Session>>); // lines ask no more of a place
  }

  /** Leaves the line unserved. */
  leave(): void {
    this.list?.remove(this as unknown as Place);
    this.#left(this);
  }

  resume(loan: Loan<Session>): boolean {
    this.list?.remove(this as unknown as Place);
    if (this.#take(loan)) this.#left(this);
    else this.join();
    return true;
  }

  fail(error: unknown): boolean {
    this.leave();
    this.exchange.refuse(this.#inWords(error));
    return true;
  }
}
