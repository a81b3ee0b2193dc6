/**
 * The connections of a database: a pool of sessions; two where one connection writes and the others
 * only read. The pools are those of `asyncio-ts/patterns`: connecting is their business, so a
 * borrower who is cancelled loses no place in them and aborts no connect.
 */

import {
  cleanup,
  createTask,
  DeadlockError,
  getRunningLoop,
  InvalidStateError,
  select,
  type Task,
  TimeoutError,
  timeout,
  wait,
} from "asyncio-ts";
import {
  belongToRun,
  currentScope,
  interruption,
  operation,
  type Scope,
} from "asyncio-ts/lowlevel";
import { type Loan, Pool, resource } from "asyncio-ts/patterns";
import type { DatabaseOptions, DatabaseStats } from "./database.ts";
import type { Answer, Driver, Request } from "./driver.ts";
import { ConnectionLostError, PoolTimeoutError } from "./errors.ts";
import { Exchange, type RequestOptions, type SessionOptions } from "./exchange.ts";
import { callerPlace } from "./place.ts";
import { Session } from "./session.ts";
import { Turn } from "./turn.ts";

/** All connections of a database. */
export class Connections {
  readonly #name: string;
  readonly #driver: Driver;
  readonly #options: DatabaseOptions;
  readonly #settings: SessionOptions;
  /** Those that may write. */
  readonly #writers: Pool<Session>;
  /** Those that only read, where they are others. */
  readonly #readers: Pool<Session> | undefined;
  /** Sessions that are open: those of the pools. */
  readonly #sessions: Map<Session, Pool<Session>> = new Map();
  /** Where it was opened, in the program. */
  readonly #place: string | undefined = callerPlace();
  /** It need not be ended by its run any more. */
  readonly #gone: () => void;
  readonly #overdue: Overdue;
  /** The scopes in which a body's connections are waited for. */
  readonly #asking: Set<Scope> = new Set();
  #isClosed = false;

  constructor(driver: Driver, name: string, options: DatabaseOptions) {
    this.#name = name;
    this.#driver = driver;
    this.#options = options;
    this.#settings = {
      grace: options.grace ?? 5,
      dialect: driver.dialect,
      database: name,
      onQuery: options.onQuery,
    };
    const { acquire = 30, max = 10, min = 0 } = options;
    this.#overdue = new Overdue(acquire, () => this.#shortage(acquire));
    if (driver.reads === undefined) {
      this.#writers = this.#pool(name, max, min, false);
      this.#readers = undefined;
    } else {
      this.#writers = this.#pool(`${name}, writing`, 1, 1, false);
      this.#readers = this.#pool(`${name}, reading`, Math.max(max - 1, 1), min, true);
    }
    this.#gone = belongToRun({ describe: () => this.#describe(), end: () => this.#cutOff() });
  }

  /** A connection that is there. @param reads - it need not write */
  async borrow(reads = false): Promise<Loan<Session>> {
    const pool = (reads ? this.#readers : undefined) ?? this.#writers;
    for (;;) {
      const loan = lendNow(pool) ?? (await this.#waitForOne(pool));
      if (loan.item.lost === undefined) return loan;
      giveBack(loan);
    }
  }

  /**
   * Sends a request on some connection, which is given back in the step in which its server is ready
   * again. An operation.
   * @param reads - it need not write
   */
  send(request: Request, options: RequestOptions, reads = false): Promise<readonly Answer[]> {
    const pool = (reads ? this.#readers : undefined) ?? this.#writers;
    const stop = interruption(options.title);
    if (stop !== undefined) return stop;
    const loan = lendNow(pool);
    if (loan === undefined && (this.#isClosed || this.#isHeldByBodies(pool)))
      return this.#sendLater(pool, request, options);
    const exchange = new Exchange(this.#settings, request, options);
    if (loan !== undefined) begin(exchange, loan);
    else this.#waitInLine(pool, exchange);
    return exchange.wait.promise;
  }

  /** A connection of its own, which no pool knows. */
  async open(): Promise<Session> {
    return this.#newSession(await this.#driver.connect());
  }

  stats(): DatabaseStats {
    const now = getRunningLoop().time();
    const pools = this.#pools();
    const all = pools.map((pool) => pool.statistics());
    const sum = (of: "max" | "open" | "idle" | "waiting") =>
      all.reduce((total, one) => total + one[of], 0);
    const holders = pools
      .flatMap((pool) => pool.holders())
      .map(({ task, since }) => ({ task: task?.getName(), seconds: now - since }));
    return {
      name: this.#name,
      max: sum("max"),
      open: sum("open"),
      idle: sum("idle"),
      waiting: sum("waiting"),
      holders,
    };
  }

  /** Waits until those under way have ended; after `drain` seconds they are ended. */
  async close(drain: number): Promise<void> {
    this.#isClosed = true;
    this.#gone();
    const close = async (): Promise<void> => {
      await Promise.all(this.#pools().map((pool) => pool.close()));
    };
    const closing = createTask(close, { name: `close ${this.#name}` });
    if (drain !== Number.POSITIVE_INFINITY) {
      const { pending } = await wait([closing], { delay: drain });
      if (pending.size > 0) await this.#endSessions(closing);
    }
    await closing;
  }

  #pools(): Pool<Session>[] {
    return this.#readers === undefined ? [this.#writers] : [this.#writers, this.#readers];
  }

  #pool(name: string, max: number, min: number, reads: boolean): Pool<Session> {
    const { idle = 60, lifetime = 1800 } = this.#options;
    const connections = resource(
      async () => {
        const session = this.#newSession(await this.#driver.connect(reads));
        this.#sessions.set(session, pool);
        return session;
      },
      async (session) => {
        this.#sessions.delete(session);
        await session.close();
      },
    );
    const check = (session: Session): Promise<boolean> => isAlive(session);
    const pool = new Pool(connections, { name, max, min, idle, lifetime, check });
    return pool;
  }

  async #endSessions(closing: Task<void>): Promise<void> {
    const error = new InvalidStateError(`database ${JSON.stringify(this.#name)} was closed`);
    for (const session of this.#sessions.keys()) session.abandonAll(error);
    const { pending } = await wait([closing], { delay: this.#settings.grace });
    if (pending.size === 0) return;
    const reason = new ConnectionLostError(error.message);
    for (const session of this.#sessions.keys()) session.destroy(reason);
  }

  /** What a run says that has ended, and finds it open. */
  #describe(): string {
    const at = this.#place === undefined ? "" : `, opened at ${this.#place}`;
    const { holders } = this.stats();
    const lent = holders.length === 0 ? "" : `; not given back by ${namesOf(holders)}`;
    return `database ${JSON.stringify(this.#name)}${at}${lent}`;
  }

  /** The pools have closed what they had; what is lent to tasks that are gone is left. */
  async #cutOff(): Promise<void> {
    const reason = new ConnectionLostError(`the run of database ${this.#name} has ended`);
    for (const session of this.#sessions.keys()) session.destroy(reason);
  }

  #newSession(connection: Awaited<ReturnType<Driver["connect"]>>): Session {
    return new Session(connection, this.#settings);
  }

  /** Where somebody may wait in vain, or the database is closed: who asks is told. */
  async #sendLater(
    pool: Pool<Session>,
    request: Request,
    options: RequestOptions,
  ): Promise<readonly Answer[]> {
    const loan = await this.borrow(pool === this.#readers);
    try {
      return await loan.item.send(request, options);
    } finally {
      giveBack(loan);
    }
  }

  #waitInLine(pool: Pool<Session>, exchange: Exchange): void {
    const { acquire = 30 } = this.#options;
    const take = (loan: Loan<Session>): boolean => begin(exchange, loan);
    const { left } = this.#overdue;
    const turn = new Turn(exchange, pool[operation](), take, left, this.#inWords);
    if (acquire !== Number.POSITIVE_INFINITY) this.#overdue.add(turn);
    exchange.waitFor(turn);
  }

  /** True iff each connection that is lent is in the hands of a body of the program. */
  #isHeldByBodies(pool: Pool<Session>): boolean {
    for (const [session, its] of this.#sessions)
      if (its === pool && session.isBusy && !session.isHeld) return false;
    let held = 0;
    for (const [session, its] of this.#sessions) if (its === pool && session.isHeld) held++;
    return held > 0 && held === pool.statistics().lent;
  }

  async #waitForOne(pool: Pool<Session>): Promise<Loan<Session>> {
    const { acquire = 30 } = this.#options;
    if (this.#isClosed) throw this.#closedError();
    if (acquire === Number.POSITIVE_INFINITY) return await this.#acquire(pool);
    try {
      return await timeout(acquire, () => this.#acquire(pool));
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      throw this.#shortage(acquire, error);
    }
  }

  /**
   * The pool knows tasks, and not their branches: another branch of a task that waits here may have
   * a connection, and be on its way to give it back. So the pool is asked whether somebody waits in
   * vain only where all connections are held by bodies, and each task that has one and waits here
   * does so inside that body. A query gives its connection back by itself.
   */
  async #acquire(pool: Pool<Session>): Promise<Loan<Session>> {
    const scope = currentScope();
    if (scope !== undefined) this.#asking.add(scope);
    try {
      return await pool.acquire();
    } catch (error) {
      const mayBeStuck = this.#isHeldByBodies(pool) && this.#waitsInsideBodies(pool);
      if (!(error instanceof DeadlockError) || mayBeStuck) throw this.#inWords(error);
      const [, loan] = await select({ loan: pool });
      return loan;
    } finally {
      if (scope !== undefined) this.#asking.delete(scope);
    }
  }

  #waitsInsideBodies(pool: Pool<Session>): boolean {
    for (const [session, its] of this.#sessions)
      for (const body of its === pool ? session.bodies : []) {
        const waits = [...this.#asking].filter(({ task }) => task === body.task);
        if (waits.length > 0 && !waits.some((one) => one === body || one.isInside(body)))
          return false;
      }
    return true;
  }

  /** What a pool says that was closed, as something about the database. */
  readonly #inWords = (error: unknown): unknown =>
    this.#isClosed && error instanceof InvalidStateError ? this.#closedError() : error;

  #closedError(): InvalidStateError {
    return new InvalidStateError(
      `database ${JSON.stringify(this.#name)} is closed. Await what is asked of it before it is closed`,
    );
  }

  #shortage(seconds: number, cause?: Error): PoolTimeoutError {
    const { holders, max, open } = this.stats();
    const who =
      holders.length === 0
        ? `none is lent, ${open} are open: the server may be unreachable`
        : `they are held by ${namesOf(holders)}`;
    return new PoolTimeoutError(
      `no connection of database ${JSON.stringify(this.#name)} came free within ${seconds} s. Of at most ${max}, ${who}`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** Who has connections, and for how long: the first ten. */
function namesOf(holders: DatabaseStats["holders"]): string {
  const names = holders.map(
    ({ task, seconds }) =>
      `${task === undefined ? "plain code" : `task ${JSON.stringify(task)}`} (for ${seconds.toFixed(1)} s)`,
  );
  const more = names.length > 10 ? [`${names.length - 10} more`] : [];
  return [...names.slice(0, 10), ...more].join(", ");
}

/** A connection that is idle, if there is one and nobody is in line for it. */
function lendNow(pool: Pool<Session>): Loan<Session> | undefined {
  for (;;) {
    const loan = pool.tryAcquire();
    if (loan === undefined || loan.item.lost === undefined) return loan;
    giveBack(loan);
  }
}

/** Begins a request on a connection that was lent for it; false if that is none any more. */
function begin(exchange: Exchange, loan: Loan<Session>): boolean {
  const session = loan.item;
  const isThere = session.lost === undefined;
  if (isThere) exchange.join(session, () => giveBack(loan));
  else giveBack(loan);
  return isThere;
}

/** @internal Only a session that is idle, and as it was when it was opened, is lent again. */
export function giveBack(loan: Loan<Session>): void {
  const session = loan.item;
  if (session.lost === undefined && session.isSettling) {
    session.whenIdle(() => giveBack(loan));
    return;
  }
  if (session.lost !== undefined) loan.discard(session.lost);
  else if (session.isBusy || session.connection.status !== "idle") {
    const reason = new ConnectionLostError(
      `${session.connection.label} was cut off: it was given back in the middle of a transaction`,
    );
    session.destroy(reason);
    loan.discard(reason);
  } else if (session.connection.isTouched === true) {
    session.restore(() => giveBack(loan));
    return;
  }
  loan[Symbol.dispose]();
}

/** A ping, for a connection that was idle for a while. */
async function isAlive(session: Session): Promise<boolean> {
  if (session.lost !== undefined) return false;
  const statement = { text: "select 1", values: [], prepare: false };
  const { grace } = session.options;
  const answer = await cleanup(grace, () =>
    session.send({ kind: "query", statement }, { title: "check", onCancel: "cut" }),
  );
  return answer !== undefined;
}

/**
 * Requests in line, in the order in which they came, and so in the order in which their time is up:
 * one timer for all.
 */
class Overdue {
  readonly #seconds: number;
  readonly #errorFor: () => Error;
  readonly #since: Map<Turn, number> = new Map();
  readonly #loop = getRunningLoop();
  #timer: { cancel(): void } | undefined = undefined;

  constructor(seconds: number, errorFor: () => Error) {
    this.#seconds = seconds;
    this.#errorFor = errorFor;
  }

  add(turn: Turn): void {
    this.#since.set(turn, this.#loop.time());
    this.#timer ??= this.#loop.callLater(this.#seconds, () => this.#look());
  }

  readonly left = (turn: Turn): void => {
    this.#since.delete(turn);
    if (this.#since.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  };

  #look(): void {
    this.#timer = undefined;
    const now = this.#loop.time();
    for (const [turn, since] of this.#since) {
      const when = since + this.#seconds;
      if (when <= now) turn.fail(this.#errorFor());
      else {
        this.#timer = this.#loop.callAt(when, () => this.#look());
        return;
      }
    }
  }
}
