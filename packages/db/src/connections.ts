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
import { belongToRun } from "asyncio-ts/lowlevel";
import { type Loan, Pool, resource } from "asyncio-ts/patterns";
import type { DatabaseOptions, DatabaseStats } from "./database.ts";
import type { Driver } from "./driver.ts";
import { ConnectionLostError, PoolTimeoutError } from "./errors.ts";
import { callerPlace } from "./place.ts";
import { Session } from "./session.ts";

/** All connections of a database. */
export class Connections {
  readonly #name: string;
  readonly #driver: Driver;
  readonly #options: DatabaseOptions;
  readonly #grace: number;
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
  #isClosed = false;

  constructor(driver: Driver, name: string, options: DatabaseOptions) {
    this.#name = name;
    this.#driver = driver;
    this.#options = options;
    this.#grace = options.grace ?? 5;
    const { max = 10, min = 0 } = options;
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
      const loan = pool.tryAcquire() ?? (await this.#waitForOne(pool));
      if (loan.item.lost === undefined) return loan;
      giveBack(loan);
    }
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
        await session.connection.close();
      },
    );
    const check = (session: Session): Promise<boolean> => isAlive(session);
    const pool = new Pool(connections, { name, max, min, idle, lifetime, check });
    return pool;
  }

  async #endSessions(closing: Task<void>): Promise<void> {
    const error = new InvalidStateError(`database ${JSON.stringify(this.#name)} was closed`);
    for (const session of this.#sessions.keys()) session.abandonAll(error);
    const { pending } = await wait([closing], { delay: this.#grace });
    if (pending.size === 0) return;
    const reason = new ConnectionLostError(error.message);
    for (const session of this.#sessions.keys()) session.destroy(reason);
  }

  /** What a run says that has ended, and finds it open. */
  #describe(): string {
    const at = this.#place === undefined ? "" : `, opened at ${this.#place}`;
    const names = this.stats().holders.map(({ task }) => task ?? "?");
    const lent =
      names.length === 0
        ? ""
        : `; not given back by ${names.map((n) => JSON.stringify(n)).join(", ")}`;
    return `database ${JSON.stringify(this.#name)}${at}${lent}`;
  }

  /** The pools have closed what they had; what is lent to tasks that are gone is left. */
  async #cutOff(): Promise<void> {
    const reason = new ConnectionLostError(`the run of database ${this.#name} has ended`);
    for (const session of this.#sessions.keys()) session.destroy(reason);
  }

  #newSession(connection: Awaited<ReturnType<Driver["connect"]>>): Session {
    return new Session(connection, {
      grace: this.#grace,
      dialect: this.#driver.dialect,
      database: this.#name,
      onQuery: this.#options.onQuery,
    });
  }

  async #waitForOne(pool: Pool<Session>): Promise<Loan<Session>> {
    const { acquire = 30 } = this.#options;
    if (this.#isClosed)
      throw new InvalidStateError(`database ${JSON.stringify(this.#name)} is closed`);
    if (acquire === Number.POSITIVE_INFINITY) return await this.#acquire(pool);
    try {
      return await timeout(acquire, () => this.#acquire(pool));
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      throw new PoolTimeoutError(this.#describeShortage(acquire), { cause: error });
    }
  }

  /**
   * The pool knows tasks, and not their branches: another branch of a task that waits here may have
   * a connection, and be on its way to give it back. Only what a body of the program holds can be
   * held by somebody who waits for one more.
   */
  async #acquire(pool: Pool<Session>): Promise<Loan<Session>> {
    try {
      return await pool.acquire();
    } catch (error) {
      if (!(error instanceof DeadlockError)) throw error;
      let held = 0;
      for (const [session, its] of this.#sessions) if (its === pool && session.isHeld) held++;
      if (held === pool.statistics().lent) throw error;
      const [, loan] = await select({ loan: pool });
      return loan;
    }
  }

  #describeShortage(seconds: number): string {
    const { holders, max, open } = this.stats();
    const names = holders.map(
      ({ task, seconds }) =>
        `${task === undefined ? "plain code" : `task ${JSON.stringify(task)}`} (for ${seconds.toFixed(1)} s)`,
    );
    const shown = names.length > 10 ? [...names.slice(0, 10), `${names.length - 10} more`] : names;
    const who =
      names.length === 0
        ? `none is lent, ${open} are open: the server may be unreachable`
        : `they are held by ${shown.join(", ")}`;
    return `no connection of database ${JSON.stringify(this.#name)} came free within ${seconds} s. Of at most ${max}, ${who}`;
  }
}

/** @internal Only a session that is idle is lent again. */
export function giveBack(loan: Loan<Session>): void {
  const session = loan.item;
  if (session.lost !== undefined) loan.discard(session.lost);
  else if (session.isBusy || session.connection.status !== "idle") {
    const reason = new ConnectionLostError(
      `${session.connection.label} was cut off: it was given back in the middle of a transaction`,
    );
    session.destroy(reason);
    loan.discard(reason);
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
