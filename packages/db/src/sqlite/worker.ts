/**
 * SQLite, where it may block: in a thread of its own for each connection. What a statement does
 * there cannot be interrupted, so it is made harmless instead. A statement that writes, and has no
 * transaction around it, gets one. Before that commits, one word in shared memory decides: either the
 * statement has ended and its answer is given, or it was cancelled before and is rolled back. There
 * is no third way, however long the statement takes, and whether or not somebody still waits for it.
 *
 *     verdict    OPEN ──▶ ENDED       set here, when the statement has ended
 *                  └────▶ CANCELLED   set by the connection
 *
 * Between two rows the word is looked at, too.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type Failure, INTERRUPTED, NO_SQLITE } from "./refusal.ts";
import type { Words } from "./text.ts";
import { type Cell, type Column, needsBigInts } from "./values.ts";

export const OPEN = 0;
export const ENDED = 1;
export const CANCELLED = 2;

/** What `open` takes. */
export interface Opening {
  readonly path: string;
  /** Whether all integers come as bigints. */
  readonly bigints: boolean;
  /** Statements to begin with. */
  readonly script: string;
  readonly verdict: Int32Array;
}

/** A statement, as it is sent here. */
export interface WorkerStatement {
  readonly text: string;
  readonly values: readonly Cell[];
  readonly prepare: boolean;
  readonly words: Words;
}

/** What is asked of a connection. */
export type WorkerRequest =
  | { readonly kind: "run"; readonly statements: readonly WorkerStatement[] }
  | { readonly kind: "script"; readonly text: string }
  | {
      readonly kind: "fetch";
      readonly cursor: string;
      readonly statement: WorkerStatement;
      readonly rows: number;
      readonly opens: boolean;
    }
  | { readonly kind: "close"; readonly cursor: string };

/** The answer to one statement. */
export interface WorkerAnswer {
  readonly columns: readonly Column[];
  readonly rows: readonly Cell[][];
  readonly count: number;
  readonly command: string;
  readonly more: boolean;
}

/** What comes of a request. */
export interface Reply {
  readonly answers: readonly WorkerAnswer[];
  readonly failure: Failure | undefined;
  readonly status: "idle" | "transaction" | "failed";
  /** True if nothing has happened, so that it may be asked for again. */
  readonly isUndone: boolean;
}

/** Statements that are kept ready; the one that was used least lately goes. */
const MOST_PREPARED = 100;

/** Deno 2.9 ends an iteration at an integer that a number would round, and does not say so. */
const LOSES_ERRORS: boolean = "Deno" in globalThis;

const connections: Map<number, Connection> = new Map();
let opened = 0;

/** Opens a database; gives its number, or why that fails. */
export async function open(opening: Opening): Promise<number | Failure> {
  const { DatabaseSync } = await import("node:sqlite");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(opening.path);
    // Node 22.16: before that nobody can ask whether a transaction is open.
    if ((database.isTransaction as boolean | undefined) === undefined)
      throw Object.assign(new Error("its `node:sqlite` is too old"), { code: NO_SQLITE });
    database.exec(opening.script);
  } catch (error) {
    database?.close();
    return failureOf(error);
  }
  connections.set(++opened, new Connection(database, opening));
  return opened;
}

/** Runs a request. Never throws: what fails is in the reply. */
export function run(id: number, request: WorkerRequest): Reply | undefined {
  return connections.get(id)?.reply(request);
}

/** Closes a database, and makes its file whole. */
export function close(id: number): void {
  connections.get(id)?.close();
  connections.delete(id);
}

/** A statement that is read a batch at a time. */
interface Cursor {
  readonly rows: Iterator<unknown, unknown>;
  readonly columns: readonly Column[];
  readonly command: string;
}

class Interrupted extends Error {
  readonly code = "ERR_SQLITE_ERROR";
  readonly errcode = INTERRUPTED;
}

class Connection {
  readonly #database: DatabaseSync;
  readonly #opening: Opening;
  readonly #statements: Map<string, StatementSync> = new Map();
  readonly #cursors: Map<string, Cursor> = new Map();
  /** Asks for the number that changes with the tables, by whichever process. */
  #schema: StatementSync | undefined = undefined;
  #version: unknown = undefined;
  /** A transaction is open as far as the other side knows, and SQLite has ended it. */
  #isBroken = false;

  constructor(database: DatabaseSync, opening: Opening) {
    this.#database = database;
    this.#opening = opening;
  }

  reply(request: WorkerRequest): Reply {
    const wasOpen = this.#database.isTransaction;
    try {
      const answers = this.#execute(request);
      return { answers, failure: undefined, status: this.#status, isUndone: false };
    } catch (error) {
      if (wasOpen && !this.#database.isTransaction && request.kind !== "script")
        this.#isBroken = true; // the disk is full, or `on conflict rollback`
      const isOne = request.kind !== "run" || request.statements.length === 1;
      const isUndone = (isOne || !wasOpen) && !this.#isBroken;
      return { answers: [], failure: failureOf(error), status: this.#status, isUndone };
    }
  }

  close(): void {
    this.#database.close();
  }

  get #status(): Reply["status"] {
    if (this.#isBroken) return "failed";
    return this.#database.isTransaction ? "transaction" : "idle";
  }

  #execute(request: WorkerRequest): WorkerAnswer[] {
    switch (request.kind) {
      case "run":
        return this.#runAll(request.statements);
      case "script":
        return [this.#script(request.text)];
      case "fetch":
        return [this.#fetch(request)];
      case "close":
        this.#cursors.get(request.cursor)?.rows.return?.();
        this.#cursors.delete(request.cursor);
        return [];
    }
  }

  #runAll(statements: readonly WorkerStatement[]): WorkerAnswer[] {
    this.#refuseBroken();
    const isReading = statements.every(({ words }) => words.isReading);
    const isWrapped =
      !this.#database.isTransaction &&
      statements.every(({ words }) => words.canBeWrapped) &&
      (statements.length > 1 || !isReading);
    if (!isWrapped) {
      const answers = statements.map((statement) => this.#run(statement));
      this.#decide();
      return answers;
    }
    this.#database.exec(isReading ? "begin" : "begin immediate");
    try {
      const answers = statements.map((statement) => this.#run(statement));
      this.#decide();
      this.#database.exec("commit");
      return answers;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("rollback");
      throw error;
    }
  }

  #run({ text, values, prepare, words }: WorkerStatement): WorkerAnswer {
    this.#refresh();
    const statement = prepare ? this.#prepared(text) : this.#database.prepare(text);
    const { command } = words;
    const changes = /^(?:INSERT|UPDATE|DELETE|REPLACE)$/.test(command);
    const columns = columnsOf(statement);
    if (columns.length === 0) {
      const { changes: count } = statement.run(...(values as (null | number)[])); // and the others
      return { columns, rows: [], count: changes ? Number(count) : 0, command, more: false };
    }
    const rows: Cell[][] = [];
    this.#shape(statement, columns);
    for (const row of statement.iterate(...(values as (null | number)[]))) {
      this.#check();
      rows.push(row as unknown as Cell[]); // as `setReturnArrays` has it
    }
    return { columns: columnsOf(statement), rows, count: rows.length, command, more: false };
  }

  #prepared(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) statement = this.#database.prepare(text);
    else this.#statements.delete(text);
    this.#statements.set(text, statement); // the last one now
    if (this.#statements.size > MOST_PREPARED)
      for (const oldest of this.#statements.keys()) {
        this.#statements.delete(oldest);
        break;
      }
    return statement;
  }

  /**
   * Looks whether the tables have changed. SQLite itself looks when a statement begins: what it says
   * of columns before that may be what they were.
   */
  #refresh(): void {
    this.#schema ??= this.#database.prepare("pragma schema_version");
    const version = this.#schema.get()?.schema_version;
    if (version === this.#version) return;
    this.#statements.clear();
    this.#database.exec("select 1 from sqlite_master limit 1");
    this.#version = version;
  }

  #shape(statement: StatementSync, columns: readonly Column[]): void {
    statement.setReturnArrays(true);
    statement.setReadBigInts(this.#opening.bigints || LOSES_ERRORS || needsBigInts(columns));
  }

  #script(text: string): WorkerAnswer {
    const command = (/^\w+/.exec(text)?.[0] ?? "").toUpperCase();
    if (command === "COMMIT") this.#refuseBroken();
    const endsAll = command === "COMMIT" || text === "rollback";
    if (endsAll) this.#closeCursors();
    if (command === "COMMIT") this.#decide();
    if (text === "rollback") this.#isBroken = false;
    if (text !== "rollback" || this.#database.isTransaction) this.#database.exec(text);
    return { columns: [], rows: [], count: 0, command, more: false };
  }

  #fetch(request: WorkerRequest & { kind: "fetch" }): WorkerAnswer {
    this.#refuseBroken();
    if (request.opens) {
      const { text, values, words } = request.statement;
      this.#refresh();
      const statement = this.#database.prepare(text); // its own: others may read the same query
      const columns = columnsOf(statement);
      this.#shape(statement, columns);
      const iterator = statement.iterate(...(values as (null | number)[]));
      this.#cursors.set(request.cursor, { rows: iterator, columns, command: words.command });
    }
    const cursor = this.#cursors.get(request.cursor);
    if (cursor === undefined) throw new Error(`no cursor ${request.cursor} is open`);
    const rows: Cell[][] = [];
    let more = true;
    while (more && rows.length < request.rows) {
      this.#check();
      const next = cursor.rows.next();
      if (next.done === true) more = false;
      else rows.push(next.value as Cell[]); // as `setReturnArrays` has it
    }
    if (!more) this.#cursors.delete(request.cursor);
    this.#decide();
    const { columns, command } = cursor;
    return { columns, rows, count: rows.length, command, more };
  }

  #closeCursors(): void {
    for (const { rows } of this.#cursors.values()) rows.return?.();
    this.#cursors.clear();
  }

  /** Between rows. */
  #check(): void {
    if (Atomics.load(this.#opening.verdict, 0) === CANCELLED) throw new Interrupted("interrupted");
  }

  /** From here on it was not cancelled; or it was. */
  #decide(): void {
    if (Atomics.compareExchange(this.#opening.verdict, 0, OPEN, ENDED) === CANCELLED)
      throw new Interrupted("interrupted");
  }

  #refuseBroken(): void {
    if (this.#isBroken) throw new Error("SQLite has rolled the transaction back");
  }
}

function columnsOf(statement: StatementSync): Column[] {
  return statement.columns().map(({ name, type }) => ({ name, type }));
}

function failureOf(error: unknown): Failure {
  const { message, errcode, code } = error as Error & { errcode?: number; code?: string };
  return { message: String(message), number: errcode, code };
}
