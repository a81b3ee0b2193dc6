/**
 * Transactions and savepoints as scopes. A body gets a handle; when it has ended, the handle is
 * closed, what was still under way is awaited (or ended, if the body has failed), and then the block
 * is committed or rolled back. No statement of it comes after that.
 *
 * Three things are kept apart. *Doomed*: a query of the block has failed or was cancelled, so the
 * block can only be rolled back; its next query says why. *Lost*: the connection is gone; the body is
 * cancelled. *Unknown*: COMMIT was sent and not answered.
 */

import { CancelledError, CancelScope, cleanup, InvalidStateError } from "asyncio-ts";
import { checkpoint, interruption, park } from "asyncio-ts/lowlevel";
import type { Answer, Dialect, Request } from "./driver.ts";
import { ConnectionLostError, TransactionDoomedError } from "./errors.ts";
import {
  argumentError,
  checkBody,
  checkCount,
  checkFlag,
  checkOptions,
  checkText,
  type Names,
} from "./options.ts";
import { Queries } from "./queries.ts";
import { type Session, whileConnected } from "./session.ts";
import type { Sql } from "./sql.ts";
import { RowStream, type StreamOptions, withoutBatch } from "./stream.ts";
import { endsTransaction, textsOf, undoesAndBegins } from "./transaction-control.ts";
import { script } from "./transaction-run.ts";

/** What `transaction` takes. */
export interface TransactionOptions {
  /** What reports and errors call it. @default "transaction" */
  readonly name?: string | undefined;
  /** @default that of the server: "read committed" */
  readonly isolation?: "read committed" | "repeatable read" | "serializable" | undefined;
  /** Whether it must not write. @default that of the server: false */
  readonly readOnly?: boolean | undefined;
  /** Whether one that is serializable and read-only waits until no conflict can hit it. */
  readonly deferrable?: boolean | undefined;
  /**
   * How often it is run again, from its beginning, when the server ends it because of a conflict
   * with another (SerializationError). The body has to be repeatable then. @default 0
   */
  readonly retries?: number | undefined;
  /**
   * If the answer to COMMIT is lost, asks on another connection whether it has taken effect, which
   * takes one query more before COMMIT. Then the call returns, or rejects with a
   * ConnectionLostError; a CommitUnknownError is left for where nobody can be asked. @default false
   */
  readonly verify?: boolean | undefined;
}

export const TRANSACTION: Names<TransactionOptions> = {
  name: 1,
  isolation: 1,
  readOnly: 1,
  deferrable: 1,
  retries: 1,
  verify: 1,
};

/** @internal Throws unless the options of a transaction make sense. */
export function checkTransaction(api: string, body: unknown, options?: TransactionOptions): void {
  checkBody(api, body);
  checkOptions(api, options, TRANSACTION);
  checkText(api, "name", options?.name);
  for (const name of ["readOnly", "deferrable", "verify"] as const)
    checkFlag(api, name, options?.[name]);
  checkCount(api, "retries", options?.retries, 0);
  const level = options?.isolation;
  if (level === undefined || ["read committed", "repeatable read", "serializable"].includes(level))
    return;
  throw argumentError(api, "`isolation` to be a level of SQL's standard", level);
}

/** What `savepoint` takes. */
export interface SavepointOptions {
  /** What reports and errors call it. @default "savepoint" */
  readonly name?: string | undefined;
}

interface Doom {
  /** What made it so. */
  readonly query: string;
  /** What has become of it. "ended by hand": it was a COMMIT or ROLLBACK. */
  readonly how: "cancelled" | "failed" | "not undone" | "ended by hand";
  readonly cause: unknown;
}

/** What has become of the query, in words. */
const WORDS = {
  cancelled: "was cancelled",
  failed: "has failed",
  "not undone": "could not be undone",
} as const;

/** A transaction, as its body sees it; or a savepoint in one. */
export class Transaction extends Queries {
  /** What reports and errors call it. */
  readonly name: string;
  /** @internal True once rows were handed out that a repetition would hand out again. */
  hasStreamed = false;
  readonly #session: Session;
  readonly #prepares: boolean;
  readonly #depth: number;
  #isOver = false;
  #doom: Doom | undefined = undefined;
  /** The savepoint in it that is open. */
  #inner: Transaction | undefined = undefined;

  /** @internal */
  constructor(session: Session, name: string, prepares: boolean, depth = 0) {
    super();
    this.#session = session;
    this.name = name;
    this.#prepares = prepares;
    this.#depth = depth;
  }

  protected get dialect(): Dialect {
    return this.#session.options.dialect;
  }

  protected get prepares(): boolean {
    return this.#prepares;
  }

  protected async send(request: Request, title: string): Promise<readonly Answer[]> {
    this.#checkUsable(title);
    try {
      const answers = await this.#session.send(request, { title, owner: this });
      this.#checkOpen(request, answers, title);
      return answers;
    } catch (error) {
      if (error instanceof CancelledError) this.#dooms(title, "cancelled", error);
      // Also where BEGIN was refused: what came next would be outside.
      else if (this.#session.connection.status !== "transaction")
        this.#dooms(title, "failed", error);
      throw error;
    }
  }

  /**
   * The rows of a query, one after the other, a batch at a time from the server. Leaving the loop
   * closes the cursor.
   */
  stream<Row = Record<string, unknown>>(
    query: Sql,
    options?: StreamOptions<Row>,
  ): AsyncIterableIterator<Row, undefined> {
    const { title, statement } = this.prepareQuery("`stream`", query, withoutBatch(options));
    return new RowStream<Row>(
      {
        open: async () => {
          this.hasStreamed = true;
          return (request) => this.send(request, title);
        },
        close: async (cursor, isAtEnd) => {
          if (isAtEnd || this.#isOver || this.#doom !== undefined || this.#inner !== undefined)
            return;
          await this.#control({ kind: "close", cursor }, `close ${title}`);
        },
      },
      statement,
      title,
      options,
    );
  }

  /**
   * Runs `body` in a savepoint: if it fails or is cancelled, what it has changed is undone, and the
   * transaction goes on. As long as it is open, the transaction itself takes no query.
   *
   * @throws InvalidStateError if another savepoint of the same block is open.
   */
  async savepoint<T>(
    body: (savepoint: Transaction) => T | PromiseLike<T>,
    options?: SavepointOptions,
  ): Promise<T> {
    const api = "`savepoint`";
    checkBody(api, body);
    checkOptions(api, options, { name: 1 });
    checkText(api, "name", options?.name);
    const name = options?.name ?? "savepoint";
    this.#checkUsable(name);
    const stop = interruption(name); // then nothing was sent, and the transaction goes on
    if (stop !== undefined) await stop;
    const mark = `asyncio_${this.#depth + 1}`;
    const inner = new Transaction(this.#session, name, this.#prepares, this.#depth + 1);
    this.#inner = inner;
    try {
      try {
        await this.#session.send(script(`savepoint ${mark}`), { title: name, owner: this });
      } catch (error) {
        this.#dooms(name, error instanceof CancelledError ? "cancelled" : "failed", error);
        throw error;
      }
      let value: T;
      try {
        value = await inner.#runBody(body);
      } catch (error) {
        inner.#end(error);
        await this.#undo(mark, inner);
        throw error;
      }
      inner.#end(undefined);
      await this.#control(script(`release savepoint ${mark}`), `release ${name}`);
      if (inner.hasStreamed) this.hasStreamed = true;
      return value;
    } finally {
      if (this.#inner === inner) this.#inner = undefined;
    }
  }

  // --- the block

  /** @internal Runs `body` in a scope that ends with the connection; then nothing is under way. */
  runTop<T>(body: (transaction: Transaction) => T | PromiseLike<T>): Promise<T> {
    return whileConnected(
      this.#session,
      () => this.#body(body),
      (reason) => this.#lossOf(reason),
    );
  }

  /** @internal Closes the handle, and ends what is under way on its account. */
  end(error: unknown): void {
    this.#end(error);
  }

  #runBody<T>(body: (transaction: Transaction) => T | PromiseLike<T>): Promise<T> {
    return new CancelScope().run(() => this.#body(body)) as Promise<T>; // nobody cancels that scope
  }

  async #body<T>(body: (transaction: Transaction) => T | PromiseLike<T>): Promise<T> {
    const value = await body(this);
    // Queries that were not awaited belong to the block.
    while (this.#session.isBusy) {
      const stop = interruption("the queries of a transaction");
      if (stop !== undefined) await stop;
      const wait = park<void>("the queries of a transaction");
      this.#session.whenIdle(() => wait.resume());
      await wait.promise;
    }
    await checkpoint();
    if (this.#inner !== undefined)
      throw new InvalidStateError(
        `the body of ${this.#title} has returned while ${this.#inner.#title} in it is open. Await the savepoint`,
      );
    if (this.#session.lost === undefined) this.#checkSound(); // a loss is what is told then
    return value;
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#inner !== undefined) this.#inner.#end(error);
    this.#session.abandon(this, () => this.#overError("a query", error));
  }

  async #undo(mark: string, inner: Transaction): Promise<void> {
    if (this.#isOver || this.#session.lost !== undefined) return;
    const text = `rollback to savepoint ${mark}; release savepoint ${mark}`;
    try {
      await this.#control(script(text), `rollback of ${inner.name}`);
    } catch (error) {
      this.#dooms(inner.name, "not undone", error);
    }
  }

  /** A statement that ends something: no cancellation ends it, but it has `grace` seconds. */
  async #control(request: Request, title: string): Promise<void> {
    const { grace } = this.#session.options;
    await cleanup(2 * grace, () =>
      this.#session.send(request, { title, owner: this, onCancel: "cut" }),
    );
    if (this.#session.lost !== undefined) throw this.#lossOf(this.#session.lost);
  }

  #dooms(query: string, how: Doom["how"], cause: unknown): void {
    this.#doom ??= { query, how, cause };
  }

  /** A COMMIT or ROLLBACK by hand: what follows would be outside, and the block's COMMIT a lie. */
  #checkOpen(request: Request, answers: readonly Answer[], title: string): void {
    const texts = textsOf(request);
    // Behind its end a batch may begin the next one.
    const isOver = this.#session.connection.status === "idle" || texts.some(endsTransaction);
    const isEnd = ({ command }: Answer): boolean =>
      command === "COMMIT" ||
      (command === "ROLLBACK" && texts.some((text) => undoesAndBegins(text)));
    if (isOver || answers.some(isEnd)) this.#dooms(title, "ended by hand", undefined);
  }

  #checkSound(): void {
    if (this.#doom === undefined) return;
    const { query, how, cause } = this.#doom;
    if (how === "ended by hand")
      throw new InvalidStateError(
        `${this.#title} was ended by its own query ${JSON.stringify(query)}: what came before is as that has left it. ` +
          "Leave COMMIT and ROLLBACK to the block",
      );
    throw new TransactionDoomedError(this.#title, query, WORDS[how], { cause });
  }

  #checkUsable(query: string): void {
    if (this.#isOver) throw this.#overError(query, undefined);
    this.#checkSound();
    if (this.#inner === undefined) return;
    throw new InvalidStateError(
      `query ${JSON.stringify(query)} was asked of ${this.#title} while ${this.#inner.#title} in it is open. ` +
        "Ask the savepoint's own handle, or wait until the savepoint has ended",
    );
  }

  #overError(query: string, cause: unknown): InvalidStateError {
    const message =
      `query ${JSON.stringify(query)} belongs to ${this.#title}, which has ended. ` +
      "Await it before the body returns";
    return new InvalidStateError(message, cause === undefined ? undefined : { cause });
  }

  #lossOf(reason: Error | undefined): ConnectionLostError {
    const why = reason?.message ?? "the connection is lost";
    return new ConnectionLostError(`${this.#title} was rolled back: ${why}`, { cause: reason });
  }

  get #title(): string {
    const kind = this.#depth === 0 ? "transaction" : "savepoint";
    return this.name === kind ? `the ${kind}` : `${kind} ${JSON.stringify(this.name)}`;
  }
}
