/**
 * A server in memory and in virtual time, on which pools, transactions, cancellation and listeners
 * run under `explore`, `cancelSweep` and `faultSweep`. It knows transactions and no SQL: each
 * statement of a test has a function.
 *
 * What takes time at a real server takes time here: a message needs `latency` each way, and what the
 * server does is a task of its own, so its steps come in any order with those of the program. A
 * cancel request goes a way of its own and ends what runs on the connection when it arrives,
 * whatever that is by then: that is how one could hit somebody else's query.
 */

import { CancelledError, createTask, Event, race, sleep, type Task } from "asyncio-ts";
import { fault, InjectedFault } from "asyncio-ts/testing";
import { checkDatabase, DATABASE, Database, type DatabaseOptions } from "../database.ts";
import type { Answer, Driver, DriverConnection, Request, Statement, Status } from "../driver.ts";
import { ConnectError, ConnectionLostError } from "../errors.ts";
import { argumentError, checkOptions, checkSeconds } from "../options.ts";
import { dialect } from "../postgres/dialect.ts";
import { refusal } from "../postgres/refusal.ts";
import {
  Blocked,
  FakeRefusal,
  type FakeRow,
  FakeStore,
  FakeTransaction,
  type FakeView,
  type Isolation,
} from "./fake-store.ts";

/** What `new FakeServer` takes. */
export interface FakeServerOptions {
  /** Seconds that a message takes each way. @default 0.001 */
  readonly latency?: number | undefined;
}

/** What a statement does: gives its rows, or the number of rows that it has changed. */
export type FakeStatement = (
  view: FakeView,
  values: readonly unknown[],
) => readonly FakeRow[] | number | undefined;

interface Known {
  readonly run: FakeStatement;
  readonly seconds: number;
}

/** A server without SQL. Of itself it knows `set x to y`, `show x`, and `reset all`, for each session. */
export class FakeServer {
  readonly #latency: number;
  readonly #store: FakeStore = new FakeStore();
  readonly #statements: Map<string, Known> = new Map();
  readonly #connections: Set<FakeConnection> = new Set();
  #connected = 0;
  #isDown = false;

  constructor(options: FakeServerOptions = {}) {
    checkOptions("`new FakeServer`", options, { latency: 1 });
    checkSeconds("`new FakeServer`", "latency", options.latency);
    this.#latency = options.latency ?? 0.001;
  }

  /**
   * Says what a statement does. `text` is that of the query, with `$1` where values are; spaces do
   * not count.
   * @param seconds - how long it takes, as `pg_sleep` does
   */
  define(text: string, run: FakeStatement, seconds = 0): void {
    if (typeof text !== "string") throw argumentError("`define`", "the text of a query", text);
    if (typeof run !== "function") throw argumentError("`define`", "a function", run);
    checkSeconds("`define`", "seconds", seconds);
    this.#statements.set(flat(text), { run, seconds });
  }

  /** Puts rows into a table, committed. @param key - the column that tells them apart */
  fill(table: string, key: string, rows: readonly FakeRow[]): void {
    for (const name of [table, key])
      if (typeof name !== "string")
        throw argumentError("`fill`", "a table and the name of a column", name);
    if (!Array.isArray(rows) || rows.some((row) => typeof row !== "object" || row === null))
      throw argumentError("`fill`", "an array of rows", rows);
    const transaction = new FakeTransaction(this.#store, "read committed");
    transaction.run((view) => {
      for (const row of rows) view.set(table, row[key], row);
    });
    transaction.commit();
  }

  /** What is committed. */
  rows(table: string): FakeRow[] {
    return this.#store.rows(table);
  }

  /** How many connections are open, and how many of them are in a transaction. */
  get connections(): { readonly open: number; readonly inTransaction: number } {
    const all = [...this.#connections];
    return {
      open: all.length,
      inTransaction: all.filter(({ status }) => status !== "idle").length,
    };
  }

  /** Tells all who listen on `channel`. */
  notify(channel: string, payload: string): void {
    for (const connection of this.#connections) connection.notified(channel, payload);
  }

  /** Ends all connections, as `pg_terminate_backend` does. */
  terminate(): void {
    for (const connection of [...this.#connections])
      connection.destroy(new ConnectionLostError("terminating connection", { sqlstate: "57P01" }));
  }

  /** Refuses connections from now on, or takes them again. */
  set isDown(isDown: boolean) {
    this.#isDown = isDown;
    if (isDown) this.terminate();
  }

  /** A database on this server. */
  database(options: DatabaseOptions = {}): Database {
    checkOptions("`database`", options, DATABASE);
    checkDatabase("`database`", options);
    return new Database(this.driver, options);
  }

  /** @internal */
  get driver(): Driver {
    return { engine: "fake", dialect, connect: () => this.#connect() };
  }

  async #connect(): Promise<DriverConnection> {
    await sleep(2 * this.#latency);
    fault("the server refuses a connection", () => this.#refusal());
    if (this.#isDown) throw this.#refusal();
    const connection = new FakeConnection(++this.#connected, this.#latency, this.#store, {
      known: (text) => this.#statements.get(flat(text)),
      left: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    return connection;
  }

  #refusal(): Error {
    return new ConnectError("ERR_DATABASE_UNREACHABLE", "the fake server takes no connections");
  }
}

interface Surroundings {
  known(text: string): Known | undefined;
  left(): void;
}

type Done = (error: unknown, answers: readonly Answer[]) => void;

class FakeConnection implements DriverConnection {
  readonly label: string;
  readonly joins = true;
  readonly reset = "reset all";
  status: Status = "idle";
  lost: Error | undefined = undefined;
  onLost: ((reason: Error) => void) | undefined = undefined;
  onNotification: ((channel: string, payload: string) => void) | undefined = undefined;
  readonly #latency: number;
  readonly #store: FakeStore;
  readonly #surroundings: Surroundings;
  readonly #channels: Set<string> = new Set();
  readonly #cursors: Map<string, FakeRow[]> = new Map();
  /** What was set in this session. */
  readonly #settings: Map<string, string> = new Map();
  #transaction: FakeTransaction | undefined = undefined;
  /** Set when a cancel arrives while a statement runs. */
  #stop: Event | undefined = undefined;
  /** The work of the server, for a connection that is cut off. */
  #work: Task<void> | undefined = undefined;
  #done: Done | undefined = undefined;

  constructor(number: number, latency: number, store: FakeStore, surroundings: Surroundings) {
    this.label = `fake session ${number}`;
    this.#latency = latency;
    this.#store = store;
    this.#surroundings = surroundings;
  }

  run(request: Request, done: Done, before: readonly string[] = []): void {
    if (this.lost !== undefined) {
      done(this.lost, []);
      return;
    }
    this.#done = done;
    this.#work = createTask(() => this.#serve(request, before), {
      name: `the server, for ${this.label}`,
    });
  }

  get isTouched(): boolean {
    return this.#settings.size > 0;
  }

  cancel(): Promise<void> {
    // The way of its own: nothing of its caller's scope reaches it.
    return new Promise((resolve, reject) => {
      const send = async (): Promise<void> => {
        try {
          await sleep(this.#latency);
          fault("a cancel request is refused");
          this.#stop?.set();
          await sleep(this.#latency);
          resolve();
        } catch (error) {
          reject(error);
        }
      };
      createTask(send, { name: `a cancel for ${this.label}` });
    });
  }

  async close(): Promise<void> {
    this.#leave(new ConnectionLostError(`${this.label} is closed`));
    await sleep(this.#latency);
  }

  destroy(reason: Error): void {
    if (!this.#leave(reason)) return;
    this.#answer(this.lost, []);
    this.onLost?.(reason);
  }

  notified(channel: string, payload: string): void {
    if (this.#channels.has(channel)) this.onNotification?.(channel, payload);
  }

  /** The server notices that the client is gone, and rolls back. */
  #leave(reason: Error): boolean {
    if (this.lost !== undefined) return false;
    this.lost = reason;
    this.#work?.cancel();
    this.#transaction?.rollBack();
    this.#transaction = undefined;
    this.#surroundings.left();
    return true;
  }

  #answer(error: unknown, answers: readonly Answer[]): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error, answers);
  }

  /** One request, from the message that brings it to the one that answers it. */
  async #serve(request: Request, before: readonly string[]): Promise<void> {
    let outcome: { error: unknown; answers: readonly Answer[] };
    try {
      await sleep(this.#latency);
      fault("the connection is lost before the server acts");
      outcome = await this.#act(request, before);
      fault("the connection is lost before the answer");
      await sleep(this.#latency);
    } catch (cause) {
      if (this.lost !== undefined) return; // it was cut off, and its caller knows
      this.destroy(new ConnectionLostError("the connection was lost", { cause }));
      return;
    }
    this.#work = undefined;
    this.#answer(outcome.error, outcome.answers);
  }

  async #act(
    request: Request,
    before: readonly string[],
  ): Promise<{ error: unknown; answers: readonly Answer[] }> {
    this.#stop = new Event();
    try {
      for (const text of before) this.#control(text);
      return { error: undefined, answers: await this.#execute(request) };
    } catch (error) {
      if (error instanceof CancelledError || error instanceof InjectedFault) throw error;
      if (this.#transaction !== undefined) this.status = "failed";
      if (!(error instanceof FakeRefusal)) return { error, answers: [] }; // a mistake of the test's
      const { sqlstate: code, message } = error;
      return { error: refusal(Object.assign(new Error(message), { code })), answers: [] };
    } finally {
      this.#stop = undefined;
    }
  }

  async #execute(request: Request): Promise<readonly Answer[]> {
    switch (request.kind) {
      case "query":
        return [answerOf(await this.#statement(request.statement))];
      case "batch": {
        const implicit = this.#transaction === undefined;
        if (implicit) this.#begin("read committed");
        try {
          const answers: Answer[] = [];
          for (const statement of request.statements)
            answers.push(answerOf(await this.#statement(statement)));
          if (implicit) this.#commit();
          return answers;
        } catch (error) {
          if (implicit) this.#rollBack();
          throw error;
        }
      }
      case "fetch": {
        if (request.opens) {
          const rows = await this.#statement(request.statement);
          this.#cursors.set(request.cursor, typeof rows === "number" ? [] : [...(rows ?? [])]);
        }
        const rows = this.#cursors.get(request.cursor) ?? [];
        const some = rows.splice(0, request.rows);
        return [{ ...answerOf(some), more: rows.length > 0 }];
      }
      case "close":
        this.#cursors.delete(request.cursor);
        return [];
      case "script":
        return request.text.split(";").map((text) => this.#control(text.trim()));
      default:
        throw new FakeRefusal("0A000", "the fake server has no COPY");
    }
  }

  async #statement({ text, values }: Statement): Promise<readonly FakeRow[] | number | undefined> {
    const known = this.#surroundings.known(text) ?? this.#ownStatement(flat(text));
    if (known === undefined)
      throw new FakeRefusal("42601", `no function is defined for ${JSON.stringify(flat(text))}`);
    if (this.status === "failed")
      throw new FakeRefusal("25P02", "the current transaction is aborted");
    if (known.seconds > 0) await this.#orStopped(() => sleep(known.seconds));
    const implicit = this.#transaction === undefined;
    const transaction = this.#transaction ?? new FakeTransaction(this.#store, "read committed");
    if (implicit) this.#transaction = transaction;
    try {
      for (;;) {
        try {
          const rows = transaction.run((view) => known.run(view, values));
          if (implicit) transaction.commit();
          return rows;
        } catch (error) {
          if (!(error instanceof Blocked)) throw error;
          await this.#untilEnded(transaction, error.holder);
        }
      }
    } catch (error) {
      if (implicit) transaction.rollBack();
      throw error;
    } finally {
      if (implicit) this.#transaction = undefined;
    }
  }

  #ownStatement(text: string): Known | undefined {
    if (text === "select 1") return PING;
    const [command, name = "", , value = ""] = text.split(" ");
    if (command === "show")
      return { run: () => [{ [name]: this.#settings.get(name) ?? "default" }], seconds: 0 };
    if (command !== "set") return undefined;
    const set = (): number => {
      this.#settings.set(name, value);
      return 0;
    };
    return { run: set, seconds: 0 };
  }

  async #untilEnded(waiting: FakeTransaction, holder: FakeTransaction): Promise<void> {
    if (waiting.isWaitedForBy(holder)) throw new FakeRefusal("40P01", "deadlock detected");
    waiting.waitsFor = holder;
    const ended = new Event();
    holder.ended.push(() => ended.set());
    try {
      await this.#orStopped(() => ended.wait());
    } finally {
      waiting.waitsFor = undefined;
    }
  }

  /** Waits for the work of a statement, or for a cancel. */
  async #orStopped(work: () => Promise<unknown>): Promise<void> {
    const stop = this.#stop as Event; // there is one while a request is at work
    await race(work, () => stop.wait());
    if (stop.isSet()) throw new FakeRefusal("57014", "canceling statement due to user request");
  }

  #control(text: string): Answer {
    const [command = ""] = text.split(" ");
    const mark = text.split(" ").at(-1) ?? "";
    if (command === "begin") this.#begin(/isolation level ([a-z ]+?)(?= read |$)/.exec(text)?.[1]);
    else if (command === "commit") {
      const isFailed = this.status === "failed";
      if (isFailed) this.#rollBack();
      else this.#commit();
      return { ...answerOf([]), command: isFailed ? "ROLLBACK" : "COMMIT" };
    } else if (text === "rollback") this.#rollBack();
    else if (command === "savepoint") this.#transaction?.mark(mark);
    else if (command === "rollback") {
      this.#transaction?.rollBackTo(mark);
      this.status = "transaction";
    } else if (text === "reset all") this.#settings.clear();
    else if (command === "listen") this.#channels.add(mark.slice(1, -1));
    return { ...answerOf([]), command: command.toUpperCase() };
  }

  #begin(isolation: string | undefined): void {
    this.#transaction = new FakeTransaction(
      this.#store,
      (isolation ?? "read committed") as Isolation,
    );
    this.status = "transaction";
  }

  #commit(): void {
    const transaction = this.#transaction;
    this.#transaction = undefined;
    this.status = "idle";
    transaction?.commit();
  }

  #rollBack(): void {
    this.#transaction?.rollBack();
    this.#transaction = undefined;
    this.status = "idle";
  }
}

const PING: Known = { run: () => [{ one: 1 }], seconds: 0 };

function answerOf(rows: readonly FakeRow[] | number | undefined): Answer {
  const isCount = typeof rows === "number";
  const list = isCount ? [] : (rows ?? []);
  const names = Object.keys(list[0] ?? {});
  return {
    rows: list.map((row) => ({ ...row })),
    count: isCount ? rows : list.length,
    command: isCount ? "UPDATE" : "SELECT",
    fields: names.map((name) => ({ name, type: 0 })),
    more: false,
  };
}

function flat(text: string): string {
  return text.trim().replaceAll(/\s+/g, " ");
}
