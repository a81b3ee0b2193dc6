/** A database: its connections, and everything that can be asked of one of them. */

import { cleanup, InvalidStateError, sleep, timeout } from "asyncio-ts";
import type { Loan } from "asyncio-ts/patterns";
import { Borrowed } from "./borrowed.ts";
import { Connections, giveBack } from "./connections.ts";
import { type CopySource, copyIn, copyOut } from "./copy.ts";
import type { Answer, Dialect, Driver, Request } from "./driver.ts";
import { DatabaseError } from "./errors.ts";
import { type Gap, type ListenOptions, listen, type Notification } from "./listen.ts";
import {
  argumentError,
  checkBody,
  checkCallback,
  checkCount,
  checkFlag,
  checkOptions,
  checkSeconds,
  checkText,
  type Names,
} from "./options.ts";
import { Queries } from "./queries.ts";
import { type Repeating, repeating } from "./repeating.ts";
import type { QueryReport } from "./reports.ts";
import type { Session } from "./session.ts";
import { SessionHandle } from "./session-handle.ts";
import { compile, type Sql, sql, titleOf } from "./sql.ts";
import { RowStream, type StreamOptions, withoutBatch } from "./stream.ts";
import { checkTransaction, type Transaction, type TransactionOptions } from "./transaction.ts";
import { controlOf, textsOf } from "./transaction-control.ts";
import { begin, commit, rollBack, runTransaction } from "./transaction-run.ts";

/** What all databases take. */
export interface DatabaseOptions {
  /** What reports and errors call it. @default the name of the database */
  readonly name?: string | undefined;
  /** How many connections at most. @default 10 */
  readonly max?: number | undefined;
  /** How many are kept open. @default 0 */
  readonly min?: number | undefined;
  /** Seconds after which an unused connection is closed. @default 60 */
  readonly idle?: number | undefined;
  /** Seconds after which a connection is closed, less up to a tenth. @default 1800 */
  readonly lifetime?: number | undefined;
  /** Seconds that a query waits for a connection; then a PoolTimeoutError. @default 30 */
  readonly acquire?: number | undefined;
  /**
   * Seconds that the server has to end what was cancelled, or to answer a COMMIT. After that the
   * connection is cut off. @default 5
   */
  readonly grace?: number | undefined;
  /** Whether servers keep the plans of fixed templates. @default true */
  readonly prepare?: boolean | undefined;
  /** Told of each query that has ended. */
  readonly onQuery?: ((report: QueryReport) => void) | undefined;
}

/** @internal */
export const DATABASE: Names<DatabaseOptions> = {
  name: 1,
  max: 1,
  min: 1,
  idle: 1,
  lifetime: 1,
  acquire: 1,
  grace: 1,
  prepare: 1,
  onQuery: 1,
};

/** Numbers and names of a pool, as it is now. */
export interface DatabaseStats {
  readonly name: string;
  readonly max: number;
  /** Connections that are open. */
  readonly open: number;
  readonly idle: number;
  /** Who waits for one. */
  readonly waiting: number;
  /** Who has one, by the name of the task, and for how many seconds. */
  readonly holders: readonly { readonly task: string | undefined; readonly seconds: number }[];
}

/** A database, with its pool of connections. Made by `connect`. */
export class Database extends Queries implements AsyncDisposable {
  /** What reports and errors call it. */
  readonly name: string;
  readonly #driver: Driver;
  readonly #options: DatabaseOptions;
  readonly #connections: Connections;
  readonly #repeating: Repeating;

  /** @internal */
  constructor(driver: Driver, options: DatabaseOptions) {
    super();
    this.name = options.name ?? driver.engine;
    this.#driver = driver;
    this.#options = options;
    this.#repeating = repeating(this.prepares);
    this.#connections = new Connections(driver, this.name, options);
  }

  /** "postgres", "sqlite". */
  get engine(): string {
    return this.#driver.engine;
  }

  protected get dialect(): Dialect {
    return this.#driver.dialect;
  }

  protected get prepares(): boolean {
    return this.#options.prepare ?? true;
  }

  /** @internal Opens the first connection. */
  async open(): Promise<void> {
    giveBack(await this.#connections.borrow());
  }

  protected send(request: Request, title: string): Promise<readonly Answer[]> {
    if (request.kind === "query") this.refuseForOne(request.statement.text, DATABASE_CURE);
    else for (const text of textsOf(request)) this.refuseForOne(text, BATCH_CURE, IN_BATCH);
    return this.#connections.send(request, { title }, this.#driver.reads?.(request));
  }

  /**
   * Runs `body` in a transaction, commits it, and gives what `body` returns. If `body` fails or is
   * cancelled, it is rolled back before the call rejects. What is told is what has happened: COMMIT
   * is not interrupted, and where its answer is lost, the call rejects with a CommitUnknownError.
   *
   * The server gets the deadline around the call as `statement_timeout`, so that nothing runs on if
   * this process dies.
   */
  async transaction<T>(
    body: (transaction: Transaction) => T | PromiseLike<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    checkTransaction("`transaction`", body, options);
    return await this.#repeating(options, async (transaction) => {
      const loan = await this.#connections.borrow(options.readOnly);
      try {
        const fate = (id: string): Promise<string | undefined> => this.#fateOf(id);
        return await runTransaction(loan.item, transaction(loan.item), body, options, fate);
      } finally {
        giveBack(loan);
      }
    });
  }

  /**
   * Lends one connection to `body`: for `set`, temporary tables, advisory locks of the session. When
   * it has ended, the connection is brought back to what it was; one of SQLite stays as it is then.
   */
  async session<T>(body: (session: SessionHandle) => T | PromiseLike<T>): Promise<T> {
    checkBody("`session`", body);
    const loan = await this.#connections.borrow();
    const session = loan.item;
    const handle = new SessionHandle(session, this.prepares, this.#repeating);
    try {
      return await handle.runBody(body);
    } finally {
      await handle.end();
      giveBack(loan);
    }
  }

  /**
   * The rows of a query, one after the other, a batch at a time from the server, from a cursor in a
   * transaction of its own, which is committed at the end of the rows. Leaving the loop before, by
   * whatever way, rolls back and waits for that.
   */
  stream<Row = Record<string, unknown>>(
    query: Sql,
    options?: StreamOptions<Row>,
  ): AsyncIterableIterator<Row, undefined> {
    const { title, statement } = this.prepareQuery("`stream`", query, withoutBatch(options));
    this.refuseForOne(statement.text, DATABASE_CURE);
    const request = { kind: "query", statement } as const;
    const readOnly = this.#driver.reads?.(request); // undefined: as the server has it
    let loan: Loan<Session> | undefined;
    const source = {
      open: async () => {
        loan = await this.#connections.borrow(readOnly);
        const session = loan.item;
        await begin(session, source, { readOnly }, title, Number.POSITIVE_INFINITY);
        return (request: Request) => session.send(request, { title, owner: source });
      },
      close: async (_cursor: string, isAtEnd: boolean, failure: unknown) => {
        if (loan === undefined) return; // it was never opened
        loan.item.takeBack(source);
        try {
          if (isAtEnd && failure === undefined) await commit(loan.item, title);
        } finally {
          await rollBack(loan.item, title);
          giveBack(loan);
        }
      },
    };
    return new RowStream<Row>(source, statement, title, options);
  }

  /**
   * Sends lines or bytes to a `copy ... from stdin`, and gives the number of rows. If `source` fails
   * or the call is cancelled, no row is kept.
   */
  async copyFrom(
    command: Sql,
    source: CopySource,
    options?: { readonly name?: string },
  ): Promise<number> {
    this.#refuseLack("`copyFrom`", "copy");
    const { title, statement } = this.prepareQuery("`copyFrom`", command, options);
    const loan = await this.#connections.borrow();
    try {
      return await copyIn(loan.item, statement, title, source);
    } finally {
      giveBack(loan);
    }
  }

  /** The bytes of a `copy ... to stdout`, as they come. Leaving the loop ends the copy. */
  copyTo(
    command: Sql,
    options?: { readonly name?: string },
  ): AsyncIterableIterator<Uint8Array, undefined> {
    this.#refuseLack("`copyTo`", "copy");
    const { title, statement } = this.prepareQuery("`copyTo`", command, options);
    return copyOut(() => this.#connections.borrow(), giveBack, statement, title);
  }

  /**
   * What is notified on `channel`, on a connection of its own that is made again when it is lost. A
   * `gap` says that something may have been missed.
   */
  listen(
    channel: string,
    options?: ListenOptions,
  ): AsyncIterableIterator<Notification | Gap, undefined> {
    this.#refuseLack("`listen`", "listen");
    return listen(() => this.#connections.open(), channel, options);
  }

  /**
   * Runs `body` in a transaction while it holds the advisory lock `name`, which one transaction of
   * the whole database can hold at a time. Waits for it; cancelled, it leaves the line.
   */
  async lock<T>(
    name: string,
    body: (transaction: Transaction) => T | PromiseLike<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    if (typeof name !== "string" || name === "")
      throw argumentError("`lock`", "the name of a lock", name);
    checkTransaction("`lock`", body, options);
    const title = `lock ${name}`;
    const query = this.dialect.lock?.(name);
    return await this.transaction(
      async (transaction) => {
        if (query !== undefined) await transaction.execute(query, { name: title });
        return await body(transaction);
      },
      { name: title, ...options },
    );
  }

  /**
   * A round trip to the server, for health probes.
   * @param seconds - how long it may take; then a TimeoutError
   */
  async check(seconds = 1): Promise<void> {
    checkSeconds("`check`", "seconds", seconds);
    await timeout(seconds, () => this.execute(sql`select 1`, { name: "check" }));
  }

  /** How many connections there are, and who has them. */
  stats(): DatabaseStats {
    return this.#connections.stats();
  }

  /**
   * Takes no more queries, waits until those under way have ended, and closes all connections. Who
   * still waits for a connection is refused. After `drain` seconds those that are left are cancelled;
   * what does not end then is cut off.
   * @param options - `drain`: seconds; Infinity by default
   */
  async close(options: { readonly drain?: number } = {}): Promise<void> {
    checkOptions("`close`", options, { drain: 1 });
    const { drain = Number.POSITIVE_INFINITY } = options;
    checkSeconds("`close`", "drain", drain);
    await this.#connections.close(drain);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * @internal Throws for a statement that takes effect on its own connection alone: one that begins or
   * ends a transaction by hand, or attaches a file. The next query may have another connection.
   */
  refuseForOne(text: string, cure: string, why: string = NEXT_QUERY): void {
    if (controlOf(text) !== undefined)
      throw refusalForOne(text, "begin or end a transaction", why, cure);
    if (this.#driver.attaches?.(text) === true)
      throw refusalForOne(text, "attach a file", NEXT_QUERY, ATTACH_CURE);
  }

  /** @internal Lends a connection to foreign code, which gives it back by itself. */
  async borrow(): Promise<Borrowed> {
    return new Borrowed(await this.#connections.borrow(), giveBack, this.prepares);
  }

  /** @internal Lends a connection, until it is given back. */
  async lend(): Promise<{ readonly session: Session; readonly giveBack: () => void }> {
    const loan = await this.#connections.borrow();
    return { session: loan.item, giveBack: () => giveBack(loan) };
  }

  /** What has become of a transaction whose COMMIT was not answered, as another connection sees it. */
  async #fateOf(id: string): Promise<string | undefined> {
    const query = this.dialect.fate?.of(id);
    if (query === undefined) return undefined;
    const { text, values } = compile(query, this.dialect.placeholder);
    const statement = { text, values, prepare: false };
    return await cleanup(2 * (this.#options.grace ?? 5), async () => {
      const session = await this.#connections.open(); // the pool may have no other
      try {
        for (;;) {
          const [answer] = await session.send({ kind: "query", statement }, { title: "verify" });
          const [row] = (answer?.rows ?? []) as { readonly fate: string | null }[];
          if (row?.fate !== "in progress") return row?.fate ?? undefined;
          await sleep(0.05); // its server has not noticed yet that it has lost us
        }
      } finally {
        await session.close();
      }
    });
  }

  #refuseLack(api: string, what: "copy" | "listen"): void {
    const cure = this.dialect.lacks?.[what];
    if (cure === undefined) return;
    throw new DatabaseError(`${api} is not there for ${this.engine}. ${cure}`, {
      sqlstate: "0A000",
    });
  }
}

const NEXT_QUERY = "the next query may have another connection";
const DATABASE_CURE = "Use `db.transaction`, or `db.session` for one connection";
const IN_BATCH = "a batch is a transaction already, of which all takes effect or nothing";
const BATCH_CURE = "Leave it out, or use `db.transaction`";
const ATTACH_CURE =
  "Use `db.session`, whose queries have one connection, or open the database with `max: 1`";

function refusalForOne(text: string, what: string, why: string, cure: string): InvalidStateError {
  const title = JSON.stringify(titleOf(text));
  return new InvalidStateError(`query ${title} cannot ${what}: ${why}. ${cure}`);
}

/** @internal Checks what all databases take. */
export function checkDatabase(api: string, options: DatabaseOptions): void {
  checkText(api, "name", options.name);
  checkFlag(api, "prepare", options.prepare);
  checkCallback(api, "onQuery", options.onQuery);
  checkCount(api, "max", options.max);
  checkCount(api, "min", options.min, 0);
  for (const name of ["idle", "lifetime", "acquire", "grace"] as const)
    checkSeconds(api, name, options[name]);
}
