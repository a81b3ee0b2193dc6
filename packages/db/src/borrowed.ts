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
import { controlOf } from "./transaction-control.ts";
import { commit, rollBack } from "./transaction-run.ts";

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
  /** Told when the connection is lost, until it is given back. */
  onLost: ((reason: Error) => void) | undefined = undefined;
  readonly #lose = (reason: Error): void => this.onLost?.(reason);

  /** @internal */
  constructor(loan: Loan<Session>, giveBack: (loan: Loan<Session>) => void, prepares: boolean) {
    this.prepares = prepares;
    this.#loan = loan;
    this.#session = loan.item;
    this.#giveBack = giveBack;
    this.#session.losses.add(this.#lose);
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
    const control = controlOf(text);
    if (control === "begin") return await this.#begin(text, title);
    if (control === "commit" || control === "commit and chain")
      return await this.#commit(control, title);
    if (control === "rollback") return await this.#rollBack();
    if (control === "rollback to") this.#doom = undefined;
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
    this.#session.losses.delete(this.#lose);
    this.#giveBack(this.#loan);
  }

  /** Closes the connection, before it is given back: whoever has it does not trust it any more. */
  cutOff(cause: Error | undefined): void {
    this.#session.losses.delete(this.#lose);
    const message = `${this.label} was closed by the program that had borrowed it`;
    this.#session.destroy(new ConnectionLostError(message, { cause }));
  }

  async #begin(text: string, title: string): Promise<readonly Answer[]> {
    const { dialect, grace } = this.#session.options;
    const [, ...limits] = dialect.begin({ seconds: timeLeft() + grace });
    this.#doom = undefined;
    try {
      // On a line of its own each: the text may end with a comment.
      const request = { kind: "script", text: [text, ...limits].join("\n; ") } as const;
      const answers = await this.#session.send(request, { title, owner: this });
      return answers.slice(0, 1); // the others are not what was asked for
    } catch (error) {
      this.release();
      throw error;
    }
  }

  async #commit(text: "commit" | "commit and chain", title: string): Promise<readonly Answer[]> {
    const doomed = this.#doomError();
    if (doomed !== undefined) {
      await this.#rollBack();
      throw doomed;
    }
    await checkpoint();
    this.#isEnding = true;
    try {
      const command = await commit(this.#session, title, text);
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
    const doomed = this.#doomError();
    if (doomed !== undefined) throw doomed;
  }

  /** Why its transaction can only be rolled back; undefined without one. */
  #doomError(): TransactionDoomedError | undefined {
    if (this.#session.connection.status === "idle") this.#doom = undefined; // of one that has ended
    if (this.#doom === undefined) return undefined;
    const { query, what, cause } = this.#doom;
    return new TransactionDoomedError("the transaction", query, what, { cause });
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
