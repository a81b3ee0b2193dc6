/**
 * One request and the answers to it, in the words of the protocol: what is written, and what is made
 * of the messages that come. The connection says when the server is ready for the next one.
 */

import type { Answer, Request, Statement, Status } from "../driver.ts";
import { refusal } from "./refusal.ts";
import { RowReader } from "./rows.ts";
import type { ServerError, Submittable, Wire, WireField } from "./shape.ts";
import { encode, type TypeTable } from "./values.ts";

/** A statement that the server has prepared. */
export interface Prepared {
  readonly name: string;
  /** Undefined until the server has told the columns. */
  reader: RowReader | undefined;
  /** The larger, the later. */
  usedAt: number;
}

/** What an exchange needs of its connection. */
export interface Plans {
  readonly status: Status;
  /** The statement as the server has it, or is to have it (`known` is false). */
  preparedAs(statement: Statement): { readonly known: boolean; readonly statement: Prepared };
  /** The name of a statement that is to be closed to make room. */
  evicted(): string | undefined;
  forget(statement: Statement): void;
  /** The server has dropped all: `discard all`, `deallocate all`. */
  forgetAll(): void;
  /** Sends an exchange once more. */
  again(exchange: Exchange): void;
}

export type Done = (error: unknown, answers: readonly Answer[]) => void;

/** One request. */
export class Exchange implements Submittable {
  /** What the server has refused; the connection is not ready for the next request yet. */
  refusal: ServerError | undefined = undefined;
  readonly #request: Request;
  readonly #types: TypeTable;
  readonly #done: Done;
  readonly #connection: Plans;
  readonly #answers: Answer[] = [];
  /** The prepared statements of this request, in its order. */
  #statements: (Prepared | undefined)[] = [];
  /** The values of its statements, as they are sent. */
  #values: readonly (readonly (string | Buffer | null)[])[] = [];
  /** The statements that the server was asked to parse, in that order; and how many it has parsed. */
  #parses: (Statement | undefined)[] = [];
  #parsed = 0;
  /** True the second time: whatever the server has under the names of its statements goes. */
  #parsesAnew = false;
  #rows: unknown[] = [];
  #reader: RowReader | undefined = undefined;
  /** A value that could not be read; the rest is read away. */
  #misread: unknown = undefined;
  #isDone = false;

  constructor(request: Request, types: TypeTable, done: Done, connection: Plans) {
    this.#request = request;
    this.#types = types;
    this.#done = done;
    this.#connection = connection;
  }

  submit(wire: Wire): undefined {
    const { stream } = wire;
    stream.cork();
    try {
      this.#values = statementsOf(this.#request).map(({ values }) => values.map(encode));
      this.#say(wire);
    } catch (error) {
      // A value that cannot be sent. Nothing was written yet: Sync alone brings the ReadyForQuery.
      this.#misread = error;
      wire.sync();
    } finally {
      stream.uncork();
    }
    return undefined;
  }

  handleRowDescription(message: { readonly fields: readonly WireField[] }): void {
    this.#reader = this.#readerFor(message.fields);
    const prepared = this.#statements[this.#answers.length];
    if (prepared !== undefined) prepared.reader = this.#reader;
  }

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    if (this.#misread !== undefined) return;
    this.#reader ??= this.#statements[this.#answers.length]?.reader;
    try {
      this.#rows.push((this.#reader as RowReader).read(message.fields)); // described before
    } catch (error) {
      this.#misread = error;
    }
  }

  handlePortalSuspended(): void {
    this.#answered("", true);
  }

  handleEmptyQuery(): void {
    this.#answered("", false);
  }

  handleCommandComplete(message: { readonly text: string }): void {
    if (/^(?:DISCARD|DEALLOCATE) ALL/.test(message.text)) this.#connection.forgetAll();
    this.#answered(message.text, false);
  }

  handleReadyForQuery(): void {
    // The connection listens by itself: it also has to hear of this after an error.
  }

  handleError(error: Error): void {
    this.refusal ??= error as ServerError;
  }

  handleCopyInResponse(wire: Wire): void {
    if (this.#request.kind !== "copyIn") {
      wire.sendCopyFail("a copy has to be asked for by `copyFrom`");
      return;
    }
    const { stream } = wire;
    this.#request.ready({
      write: (bytes) => {
        if (this.refusal === undefined && !this.#isDone) wire.sendCopyFromChunk(bytes);
        return !stream.writableNeedDrain;
      },
      drained: (callback) => void stream.once("drain", callback),
      end: () => this.refusal === undefined && !this.#isDone && wire.endCopyFrom(),
      fail: (reason) => this.refusal === undefined && !this.#isDone && wire.sendCopyFail(reason),
    });
  }

  handleCopyData(message: { readonly chunk: Uint8Array }): void {
    if (this.#request.kind === "copyOut") this.#request.chunk(message.chunk);
  }

  /** The server is ready for the next request. */
  finish(): void {
    if (this.#isDone) return;
    if (this.refusal !== undefined) {
      // What it has parsed it keeps, also when the statement has failed then.
      for (const statement of this.#parses.slice(this.#parsed))
        if (statement !== undefined) this.#connection.forget(statement);
      if (this.#canHeal(this.refusal)) {
        this.#heal();
        return;
      }
      this.#isDone = true;
      this.#done(refusal(this.refusal), []);
      return;
    }
    this.#isDone = true;
    if (this.#misread !== undefined) this.#done(this.#misread, []);
    else this.#done(undefined, this.#answers);
  }

  lost(reason: Error): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#done(reason, []);
  }

  /** @internal The server has parsed a statement. */
  parseComplete(): void {
    this.#parsed++;
  }

  /**
   * A plan that the server has no more (`deallocate all`), or has already (a pooler that changes
   * servers), or that its table has outgrown. Outside a transaction nothing has happened then, and
   * it is prepared anew.
   */
  #canHeal({ code, routine }: ServerError): boolean {
    if (this.#parsesAnew || this.#connection.status !== "idle") return false;
    if (!this.#statements.some((statement) => statement !== undefined)) return false;
    const isOutgrown = code === "0A000" && routine === "RevalidateCachedQuery";
    return code === "26000" || code === "42P05" || isOutgrown;
  }

  #heal(): void {
    for (const statement of statementsOf(this.#request)) this.#connection.forget(statement);
    this.refusal = undefined;
    this.#parsesAnew = true;
    this.#statements = [];
    this.#parses = [];
    this.#parsed = 0;
    this.#answers.length = 0;
    this.#rows = [];
    this.#reader = undefined;
    this.#connection.again(this);
  }

  #answered(tag: string, more: boolean): void {
    const [command = "", ...numbers] = tag.split(" ");
    const count = numbers.length === 0 ? 0 : Number(numbers.at(-1));
    const fields = (this.#reader ?? this.#statements[this.#answers.length]?.reader)?.fields ?? [];
    const rows = this.#rows;
    const prepared = this.#statements[this.#answers.length];
    if (prepared !== undefined) prepared.reader ??= new RowReader([], this.#types);
    this.#answers.push({
      rows,
      count: Number.isNaN(count) ? 0 : more ? rows.length : count,
      command,
      fields,
      more,
    });
    this.#rows = [];
    this.#reader = undefined;
  }

  #say(wire: Wire): void {
    const request = this.#request;
    switch (request.kind) {
      case "query":
        this.#ask(wire, request.statement, "", 0);
        break;
      case "batch":
        for (const statement of request.statements) this.#ask(wire, statement, "", 0);
        break;
      case "fetch":
        this.#fetch(wire, request);
        break;
      case "close":
        cursors.get(this.#connection)?.delete(request.cursor);
        wire.close({ type: "P", name: request.cursor });
        break;
      default:
        wire.query(request.text); // brings its own ReadyForQuery
        return;
    }
    wire.sync();
  }

  #fetch(wire: Wire, request: Request & { kind: "fetch" }): void {
    const { cursor, statement, rows } = request;
    if (request.opens) this.#ask(wire, statement, cursor, rows);
    else {
      this.#reader = cursors.get(this.#connection)?.get(cursor);
      wire.execute({ portal: cursor, rows });
    }
  }

  #ask(wire: Wire, statement: Statement, portal: string, rows: number): void {
    const { text } = statement;
    const values = this.#values[this.#statements.length] ?? [];
    const isPrepared = statement.prepare && statement.parsers === undefined;
    let name = "";
    let knows = false;
    if (isPrepared) {
      const { known, statement: prepared } = this.#connection.preparedAs(statement);
      ({ name } = prepared);
      knows = known && prepared.reader !== undefined;
      this.#statements.push(prepared);
      if (!known) {
        if (this.#parsesAnew) wire.close({ type: "S", name });
        wire.parse({ name, text });
        this.#parses.push(statement);
      }
      const evicted = this.#connection.evicted();
      if (evicted !== undefined) wire.close({ type: "S", name: evicted });
    } else {
      this.#statements.push(undefined);
      wire.parse({ name, text });
      this.#parses.push(undefined);
    }
    wire.bind({ portal, statement: name, values });
    if (!knows) wire.describe({ type: "P", name: portal });
    wire.execute({ portal, rows });
  }

  #readerFor(fields: readonly WireField[]): RowReader {
    const request = this.#request;
    const statement = statementsOf(request)[this.#answers.length];
    const parsers = request.kind === "script" ? request.parsers : statement?.parsers;
    const reader = new RowReader(fields, this.#types, parsers, statement?.arrays);
    if (request.kind === "fetch") {
      const known = cursors.get(this.#connection) ?? new Map();
      cursors.set(this.#connection, known.set(request.cursor, reader));
    }
    return reader;
  }
}

/** How the rows of open cursors are read. */
const cursors: WeakMap<Plans, Map<string, RowReader>> = new WeakMap();

function statementsOf(request: Request): readonly Statement[] {
  if (request.kind === "batch") return request.statements;
  return request.kind === "query" || request.kind === "fetch" ? [request.statement] : [];
}
