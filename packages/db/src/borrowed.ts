/**
 * A connection in the hands of foreign code: a query builder, or a program written for `pg`. It says
 * BEGIN and COMMIT by itself, in text, and knows nothing of scopes. So its transactions are known by
 * what it says:
 *
 * - BEGIN brings the deadline along; if it fails, the connection goes back by itself, since builders
 *   forget it then.
 * - COMMIT is shielded and bounded, and tells the truth, as that of our own transactions.
 * - ROLLBACK ends what is still under way, and runs for a cancelled task, too.
 * - A query that was cancelled dooms the transaction, as everywhere.
 */

import { CancelledError, cleanup, InvalidStateError, timeLeft } from "asyncio-ts";
import { checkpoint } from "asyncio-ts/lowlevel";
import type { Loan } from "asyncio-ts/patterns";
import type { Answer, Request } from "./driver.ts";
import { ConnectionLostError, TransactionDoomedError } from "./errors.ts";
import type { Session } from "./session.ts";
import { commit, rollBack } from "./transaction-run.ts";

const BEGIN = /^\s*(?:begin|start\s+transaction)\b/i;
const COMMIT = /^\s*(?:commit|end)\b/i;
const ROLLBACK = /^\s*(?:rollback|abort)\s*(?:work|transaction)?\s*;?\s*$/i;
const ROLLBACK_TO = /^\s*rollback\s+to\b/i;

interface Doom {
  readonly query: string;
  readonly what: string;
  readonly cause: unknown;
}

/** A connection that foreign code has borrowed. */
export class Borrowed {
  readonly #loan: Loan<Session>;
  readonly #session: Session;
  readonly #giveBack: (loan: Loan<Session>) => void;
  #isBack = false;
  /** While COMMIT or ROLLBACK is under way: what comes behind it would be outside. */
  #isEnding = false;
  #doom: Doom | undefined = undefined;

  /** Whether servers keep plans for it. */
  readonly prepares: boolean;

  /** @internal */
  constructor(loan: Loan<Session>, giveBack: (loan: Loan<Session>) => void, prepares: boolean) {
    this.prepares = prepares;
    this.#loan = loan;
    this.#session = loan.item;
    this.#giveBack = giveBack;
  }

  /** Whether it was given back. */
  get isBack(): boolean {
    return this.#isBack;
  }

  /** Whether a transaction is open. */
  get isInTransaction(): boolean {
    return this.#session.connection.status !== "idle";
  }

  /** Closes a cursor, unless its transaction has closed it. */
  async closeCursor(cursor: string): Promise<void> {
    if (this.#session.lost !== undefined || this.#session.connection.status !== "transaction")
      return;
    await cleanup(this.#session.options.grace, () =>
      this.#session.send(
        { kind: "close", cursor },
        { title: "close", owner: this, onCancel: "cut" },
      ),
    );
  }

  /** What tells connections apart. */
  get label(): string {
    return this.#session.connection.label;
  }

  /** Sends a request; `text` is what it says, and what it is known by. */
  async send(request: Request, text: string, title: string): Promise<readonly Answer[]> {
    this.#checkUsable(title);
    if (BEGIN.test(text)) return await this.#begin(text, title);
    if (COMMIT.test(text)) return await this.#commit(title);
    if (ROLLBACK.test(text)) return await this.#rollBack();
    if (ROLLBACK_TO.test(text)) this.#doom = undefined;
    else this.#checkSound();
    try {
      return await this.#session.send(request, { title, owner: this });
    } catch (error) {
      const { status } = this.#session.connection;
      if (status !== "idle" && error instanceof CancelledError)
        this.#doom ??= { query: title, what: "was cancelled", cause: error };
      throw error;
    }
  }

  /** Gives it back. One that is in the middle of something is cut off: its server rolls back. */
  release(): void {
    if (this.#isBack) return;
    this.#isBack = true;
    this.#giveBack(this.#loan);
  }

  async #begin(text: string, title: string): Promise<readonly Answer[]> {
    const { dialect, grace } = this.#session.options;
    const [, ...limits] = dialect.begin({ seconds: timeLeft() + grace });
    this.#doom = undefined;
    try {
      const begin = [text.replace(/;\s*$/, ""), ...limits].join("; ");
      const request = { kind: "script", text: begin } as const;
      return await this.#session.send(request, { title, owner: this });
    } catch (error) {
      this.release();
      throw error;
    }
  }

  async #commit(title: string): Promise<readonly Answer[]> {
    if (this.#doom !== undefined) {
      await this.#rollBack();
      this.#checkSound();
    }
    await checkpoint();
    this.#isEnding = true;
    try {
      const command = await commit(this.#session, title);
      return [{ rows: [], count: 0, command, fields: [], more: false }];
    } finally {
      this.#isEnding = false;
    }
  }

  async #rollBack(): Promise<readonly Answer[]> {
    this.#isEnding = true;
    this.#session.abandon(
      this,
      () => new InvalidStateError("the transaction was rolled back while a query was under way"),
    );
    try {
      await rollBack(this.#session, "transaction");
    } finally {
      this.#isEnding = false;
    }
    return [{ rows: [], count: 0, command: "ROLLBACK", fields: [], more: false }];
  }

  #checkSound(): void {
    if (this.#doom === undefined || this.#session.connection.status === "idle") return;
    const { query, what, cause } = this.#doom;
    throw new TransactionDoomedError("the transaction", query, what, { cause });
  }

  #checkUsable(title: string): void {
    const { lost } = this.#session;
    if (lost !== undefined) throw new ConnectionLostError(lost.message, { cause: lost });
    if (!this.#isBack && !this.#isEnding) return;
    throw new InvalidStateError(
      `query ${JSON.stringify(title)} was asked of a connection ${
        this.#isBack ? "that was given back" : "whose transaction is ending"
      }. Await it before the transaction ends`,
    );
  }
}
