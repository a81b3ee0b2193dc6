/**
 * A database that forgets: what a test does with it happens in one transaction, which is rolled back
 * at the end. To the code under test it is a database like others. A transaction of that code is a
 * savepoint, and so is each query outside of one, for a failure of it must not end the whole.
 */

import { cleanup, InvalidStateError } from "asyncio-ts";
import { Database } from "../database.ts";
import type { Answer, Dialect, Driver, DriverConnection, Request, Status } from "../driver.ts";
import { ConnectionLostError } from "../errors.ts";
import { argumentError, checkBody } from "../options.ts";
import type { Session } from "../session.ts";
import { controlOf, controlsTransaction, textsOf } from "../transaction-control.ts";
import { rollBack } from "../transaction-run.ts";

const MARK = "asyncio_test";
const SAVEPOINT = `savepoint ${MARK}`;
const RELEASE = `release savepoint ${MARK}`;
const UNDO = `rollback to savepoint ${MARK}; ${RELEASE}`;

/** Seconds that the ROLLBACK at the end may take. */
const LAST = 10;

/**
 * Runs `body` with a database that stands for `database`, and undoes at the end what `body` has
 * changed: tests on one database do not see each other. It has one connection, so transactions of
 * `body` take turns, and isolation between them cannot be tested with it. Constraints that are
 * deferred to COMMIT are not checked; LISTEN is not there. Waits for a connection, and for the
 * ROLLBACK; cancelled, it rolls back as well.
 *
 * @example
 * import { sql } from "asyncio-ts-db";
 * import { connect } from "asyncio-ts-db/sqlite";
 * import { transactionPerTest } from "asyncio-ts-db/testing";
 * await using database = await connect(":memory:");
 * await database.execute(sql`create table users (name text)`);
 * await transactionPerTest(database, async (db) => {
 *   await db.transaction((tx) => tx.execute(sql`insert into users values ('ann')`));
 * });
 * assert.deepEqual(await database.query(sql`select * from users`), []);
 */
export async function transactionPerTest<T>(
  database: Database,
  body: (database: Database) => T | PromiseLike<T>,
): Promise<T> {
  const api = "`transactionPerTest`";
  if (!(database instanceof Database))
    throw argumentError(api, "a database made by `connect`", database);
  checkBody(api, body);
  const { session, giveBack } = await database.lend();
  try {
    const begin = session.options.dialect.begin({ seconds: Number.POSITIVE_INFINITY }).join("; ");
    await session.send({ kind: "script", text: begin }, { title: "begin test" });
    const driver = new NestedDriver(session, database.engine);
    await using nested = new Database(driver, {
      name: database.name,
      max: 1,
      grace: session.options.grace,
      idle: Number.POSITIVE_INFINITY,
      lifetime: Number.POSITIVE_INFINITY,
    });
    return await body(nested);
  } finally {
    await cleanup(LAST, () => rollBack(session, "test"));
    giveBack();
  }
}

class NestedDriver implements Driver {
  readonly engine: string;
  readonly dialect: Dialect;
  readonly #session: Session;

  constructor(session: Session, engine: string) {
    this.#session = session;
    this.engine = engine;
    const { dialect } = session.options;
    const listen = "It would outlive the test: listen on the database itself";
    this.dialect = { ...dialect, lacks: { ...dialect.lacks, listen } };
  }

  async connect(): Promise<DriverConnection> {
    return new NestedConnection(this.#session);
  }
}

/** What a dialect says behind BEGIN. */
const LIMITS = /\s*; set local \w+ = \d+/g;

function byHand(): InvalidStateError {
  return new InvalidStateError(
    "a BEGIN, COMMIT or ROLLBACK by hand would end the transaction that `transactionPerTest` undoes. " +
      "Use `db.transaction`, or a query builder",
  );
}

type Done = (error: unknown, answers: readonly Answer[]) => void;

class NestedConnection implements DriverConnection {
  readonly reset = undefined;
  readonly label: string;
  status: Status = "idle";
  lost: Error | undefined = undefined;
  onLost: ((reason: Error) => void) | undefined = undefined;
  onNotification: ((channel: string, payload: string) => void) | undefined = undefined;
  readonly #outer: DriverConnection;
  /** True while what was asked for runs, and not what is put around it. */
  #isInside = false;

  constructor(session: Session) {
    this.#outer = session.connection;
    this.label = session.connection.label;
    session.losses.add((reason) => this.#lose(reason));
  }

  run(request: Request, done: Done): void {
    const control = request.kind === "script" ? controlOf(request.text.replace(LIMITS, "")) : "";
    if (control === "begin") this.#say(SAVEPOINT, "transaction", done);
    else if (control === "rollback") this.#say(UNDO, "idle", done);
    else if (control === "commit") this.#commit(done);
    else if (textsOf(request).some(controlsTransaction)) done(byHand(), []);
    else if (this.status === "idle") this.#wrapped(request, done);
    else
      this.#inside(request, (error, answers) => {
        this.status = this.#outer.status === "failed" ? "failed" : "transaction";
        done(error, answers);
      });
  }

  /** Too early or too late it does nothing, and is asked for again. */
  cancel(): Promise<void> {
    return this.#isInside ? this.#outer.cancel() : Promise.resolve();
  }

  async close(): Promise<void> {
    this.lost ??= new ConnectionLostError(`${this.label} is closed`);
  }

  destroy(reason: Error): void {
    this.#outer.destroy(reason);
    this.#lose(reason);
  }

  #lose(reason: Error): void {
    if (this.lost !== undefined) return;
    this.lost = reason;
    this.onLost?.(reason);
  }

  #inside(request: Request, done: Done): void {
    this.#isInside = true;
    this.#outer.run(request, (error, answers) => {
      this.#isInside = false;
      done(error, answers);
    });
  }

  #say(text: string, status: Status, done: Done): void {
    this.#outer.run({ kind: "script", text }, (error, answers) => {
      if (error === undefined) this.status = status;
      done(error, answers);
    });
  }

  #commit(done: Done): void {
    const isFailed = this.status === "failed";
    this.#say(isFailed ? UNDO : RELEASE, "idle", (error) => {
      const command = isFailed ? "ROLLBACK" : "COMMIT";
      done(error, [{ rows: [], count: 0, command, fields: [], more: false }]);
    });
  }

  #wrapped(request: Request, done: Done): void {
    this.#say(SAVEPOINT, "idle", (refused) => {
      if (refused !== undefined) {
        done(refused, []);
        return;
      }
      this.#inside(request, (error, answers) => {
        const end = error === undefined ? RELEASE : UNDO;
        this.#say(end, "idle", (failure) => done(error ?? failure, answers));
      });
    });
  }
}
