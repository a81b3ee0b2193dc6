/**
 * One connection to a database file: a thread with SQLite in it, and this side of it. A cancelled
 * statement ends between two rows, or when SQLite is through with it; it has changed nothing then
 * (see worker.ts). Whoever has to wait because another process writes is not kept in SQLite: it is
 * asked again after a while, and a cancellation ends that at once.
 */

import { CancelledError, CancelScope, cleanup, createTask, sleep, type Task } from "asyncio-ts";
import { type Executor, type Functions, module } from "asyncio-ts/executors";
import type { Answer, DriverConnection, Request, Statement, Status } from "../driver.ts";
import { ConnectionLostError, DatabaseError } from "../errors.ts";
import { titleOf } from "../sql.ts";
import { isBusy, refusal } from "./refusal.ts";
import { wordsOf } from "./text.ts";
import { encode, type TypeTable } from "./values.ts";
import {
  CANCELLED,
  OPEN,
  type Reply,
  type WorkerAnswer,
  type WorkerRequest,
  type WorkerStatement,
} from "./worker.ts";

/** Seconds between two attempts while another process writes. */
const PAUSES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05];
/** Seconds that closing may take. */
const FAREWELL = 5;

/** What the worker does. */
export const work: Functions<typeof import("./worker.ts")> = module(workerUrl());

/** Beside this file in the sources; where we are built, this code is in a file of another folder. */
function workerUrl(): URL {
  const isBuilt = import.meta.url.endsWith(".js");
  return new URL(isBuilt ? "./sqlite/worker.js" : "./worker.ts", import.meta.url);
}

export interface SqliteConnectionOptions {
  readonly label: string;
  readonly executor: Executor;
  /** What the worker calls it. */
  readonly id: number;
  readonly verdict: Int32Array;
  readonly types: TypeTable;
  /** Seconds that another process may keep it waiting. */
  readonly patience: number;
}

type Done = (error: unknown, answers: readonly Answer[]) => void;

/** A connection to a database file. */
export class SqliteConnection implements DriverConnection {
  readonly label: string;
  readonly reset = undefined;
  status: Status = "idle";
  lost: Error | undefined = undefined;
  onLost: ((reason: Error) => void) | undefined = undefined;
  onNotification: ((channel: string, payload: string) => void) | undefined = undefined;
  readonly #options: SqliteConnectionOptions;
  /** The request that is under way. */
  #done: Done | undefined = undefined;
  #job: Task<void> | undefined = undefined;
  #isCancelled = false;
  /** While another process is waited for. */
  #pause: CancelScope | undefined = undefined;

  constructor(options: SqliteConnectionOptions) {
    this.#options = options;
    this.label = options.label;
  }

  run(request: Request, done: Done): void {
    if (this.lost !== undefined) {
      done(this.lost, []);
      return;
    }
    this.#done = done;
    this.#isCancelled = false;
    let asked: WorkerRequest;
    try {
      asked = requestFor(request, this.status === "idle");
    } catch (error) {
      this.#answer(error, []);
      return;
    }
    const arrays = request.kind === "query" && request.statement.arrays === true;
    // A task of its own, so that neither the scope nor the deadline of the caller is around it.
    this.#job = createTask(() => this.#serve(asked, arrays), { name: `SQLite, for ${this.label}` });
  }

  /** Nothing of it can hit a later request: there is one word for each, and it is set here. */
  cancel(): Promise<void> {
    this.#isCancelled = true;
    Atomics.compareExchange(this.#options.verdict, 0, OPEN, CANCELLED);
    this.#pause?.cancel();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    if (this.lost !== undefined) return;
    this.lost = new ConnectionLostError(`${this.label} is closed`);
    const { executor, id } = this.#options;
    // A thread that has gone already has closed the file.
    await cleanup(FAREWELL, () => executor.run(work.close, id)).catch(() => {});
    await executor.shutdown();
  }

  destroy(reason: Error): void {
    if (this.lost !== undefined) return;
    // What is under way is rolled back, whenever SQLite is through with it.
    Atomics.compareExchange(this.#options.verdict, 0, OPEN, CANCELLED);
    this.#lose(reason);
    this.#pause?.cancel();
    this.#job?.cancel();
    const { executor } = this.#options;
    createTask(() => executor.shutdown({ cancelFutures: true }), { name: `end ${this.label}` });
  }

  async #serve(request: WorkerRequest, arrays: boolean): Promise<void> {
    const { verdict, patience } = this.#options;
    let waited = 0;
    try {
      for (let attempt = 0; ; attempt++) {
        Atomics.store(verdict, 0, OPEN);
        const reply = await this.#ask(request);
        this.status = reply.status;
        if (reply.failure === undefined) {
          this.#read(reply.answers, arrays);
          return;
        }
        if (!isBusy(reply.failure) || !reply.isUndone || waited >= patience) {
          this.#answer(refusal(reply.failure), []);
          return;
        }
        const seconds = PAUSES[Math.min(attempt, PAUSES.length - 1)] as number; // in range
        waited += seconds;
        this.#pause = new CancelScope();
        if (!this.#isCancelled) await this.#pause.run(() => sleep(seconds));
        this.#pause = undefined;
        if (!this.#isCancelled) continue;
        this.#answer(interruptedWaiting(), []);
        return;
      }
    } catch (error) {
      if (this.lost === undefined && !(error instanceof CancelledError))
        this.#lose(new ConnectionLostError(`${this.label} is lost`, { cause: error }));
      else this.#lose(this.lost ?? new ConnectionLostError(`${this.label} was ended`));
    }
  }

  async #ask(request: WorkerRequest): Promise<Reply> {
    const { executor, id } = this.#options;
    const reply = await executor.run(run, id, request);
    if (reply === undefined) throw new Error("its thread was replaced");
    return reply;
  }

  /** A value that cannot be read fails the request, and not the connection. */
  #read(answers: readonly WorkerAnswer[], arrays: boolean): void {
    let read: readonly Answer[];
    try {
      read = this.#answersOf(answers, arrays);
    } catch (error) {
      this.#answer(error, []);
      return;
    }
    this.#answer(undefined, read);
  }

  #answersOf(answers: readonly WorkerAnswer[], arrays: boolean): Answer[] {
    return answers.map(({ columns, rows, count, command, more }) => ({
      rows: this.#options.types.rows(columns, rows, arrays),
      fields: columns.map(({ name }) => ({ name, type: 0 })),
      count,
      command,
      more,
    }));
  }

  #answer(error: unknown, answers: readonly Answer[]): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error, answers);
  }

  #lose(reason: Error): void {
    const isNews = this.lost === undefined;
    this.lost ??= reason;
    this.#answer(this.lost, []);
    if (isNews) this.onLost?.(this.lost);
  }
}

/** A thread that does not end by itself is given up at once: its statement will change nothing. */
const run = work.run.with({ stop: "replace", stopDelay: 0 });

function interruptedWaiting(): DatabaseError {
  const message = "interrupted while another process had the database locked";
  return new DatabaseError(message, { sqlstate: "57014" });
}

function requestFor(request: Request, isIdle: boolean): WorkerRequest {
  switch (request.kind) {
    case "query":
      return { kind: "run", statements: [statementFor(request.statement)] };
    case "batch": {
      const statements = request.statements.map(statementFor);
      if (isIdle) checkWhole(statements);
      return { kind: "run", statements };
    }
    case "fetch":
      return { ...request, statement: statementFor(request.statement) };
    case "script":
      return { kind: "script", text: request.text };
    case "close":
      return request;
    default:
      throw new DatabaseError("SQLite has no COPY", { sqlstate: "0A000" });
  }
}

/**
 * A batch that writes is a transaction, and some statements cannot stand in one. In a session it may
 * begin one by itself, and what comes from there on is its own affair.
 */
function checkWhole(batch: readonly WorkerStatement[]): void {
  const own = batch.findIndex(({ words }) => /^(?:BEGIN|SAVEPOINT)$/.test(words.command));
  const statements = own === -1 ? batch : batch.slice(0, own);
  const alone = statements.find(({ words }) => !words.canBeWrapped);
  const writes = statements.some(({ words }) => words.canBeWrapped && !words.isReading);
  if (alone === undefined || !writes) return;
  throw new DatabaseError(
    `${JSON.stringify(titleOf(alone.text))} cannot stand in a batch that writes: it is not undone, and the batch is all or nothing. Run it by itself`,
    { sqlstate: "25001" },
  );
}

function statementFor({ text, values, prepare }: Statement): WorkerStatement {
  const words = wordsOf(text);
  if (words.isSeveral)
    throw new DatabaseError(
      "a query is one statement, and this is several. Use `batch`, which runs all of them or none",
      { sqlstate: "42601" },
    );
  return { text, values: values.map(encode), prepare, words };
}
