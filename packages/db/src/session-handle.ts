/** A session as its body sees it: one connection, for as long as the body runs. */

import { cleanup, InvalidStateError } from "asyncio-ts";
import type { Answer, Dialect, Request } from "./driver.ts";
import { ConnectionLostError } from "./errors.ts";
import { Queries } from "./queries.ts";
import type { Repeating } from "./repeating.ts";
import { type Session, whileConnected } from "./session.ts";
import { checkTransaction, type Transaction, type TransactionOptions } from "./transaction.ts";
import { rollBack, runTransaction } from "./transaction-run.ts";

/** One connection, lent to the body of `db.session`. */
export class SessionHandle extends Queries {
  readonly #session: Session;
  readonly #prepares: boolean;
  readonly #repeating: Repeating;
  #isOver = false;
  #isInTransaction = false;

  /** @internal */
  constructor(session: Session, prepares: boolean, repeating: Repeating) {
    super();
    this.#session = session;
    this.#prepares = prepares;
    this.#repeating = repeating;
  }

  protected get dialect(): Dialect {
    return this.#session.options.dialect;
  }

  protected get prepares(): boolean {
    return this.#prepares;
  }

  protected async send(request: Request, title: string): Promise<readonly Answer[]> {
    this.#checkUsable(title);
    return await this.#session.send(request, { title, owner: this });
  }

  /** A transaction on this very connection. One at a time. */
  async transaction<T>(
    body: (transaction: Transaction) => T | PromiseLike<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    checkTransaction("`session.transaction`", body, options);
    this.#checkUsable(options.name ?? "transaction");
    this.#isInTransaction = true;
    try {
      return await this.#repeating(options, (make) =>
        runTransaction(this.#session, make(this.#session), body, options),
      );
    } finally {
      this.#isInTransaction = false;
    }
  }

  /** @internal Runs the body in a scope that ends with the connection. */
  async runBody<T>(body: (session: SessionHandle) => T | PromiseLike<T>): Promise<T> {
    return await whileConnected(
      this.#session,
      async () => await body(this),
      (cause) => new ConnectionLostError(cause?.message ?? "the connection is lost", { cause }),
    );
  }

  /** @internal Leaves the connection as it was when it was opened, or cut off. */
  async end(): Promise<void> {
    this.#isOver = true;
    const session = this.#session;
    session.abandon(this, () => overError("a query"));
    await rollBack(session, "session");
    const { reset } = session.connection;
    if (session.lost !== undefined || reset === undefined) return;
    try {
      await cleanup(2 * session.options.grace, () =>
        session.send({ kind: "script", text: reset }, { title: "reset", onCancel: "cut" }),
      );
    } catch (cause) {
      session.destroy(new ConnectionLostError("a session could not be reset", { cause }));
    }
  }

  #checkUsable(query: string): void {
    if (this.#isOver) throw overError(query);
    if (!this.#isInTransaction) return;
    throw new InvalidStateError(
      `query ${JSON.stringify(query)} was asked of a session while a transaction of it is open. ` +
        "Ask the transaction's own handle",
    );
  }
}

function overError(query: string): InvalidStateError {
  return new InvalidStateError(
    `query ${JSON.stringify(query)} belongs to a session whose body has ended. Await it before the body returns`,
  );
}
