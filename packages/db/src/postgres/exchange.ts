/**
 * One request and the answers to it, in the words of the protocol: what is written, and what is made
 * of the messages that come. The connection says when the server is ready for the next one.
 */

import type { Answer, Request, Statement, Status } from "../driver.ts";
import { DatabaseError, ValueError } from "../errors.ts";
import type { Packet } from "./packet.ts";
import { refusal } from "./refusal.ts";
import { RowReader } from "./rows.ts";
import { changesSession, setsByFunction } from "./session-changes.ts";
import type { ServerError } from "./shape.ts";
import { encode, type TypeTable } from "./values.ts";
import type { Wire, WireField } from "./wire.ts";

/** A statement that the server has prepared. */
export interface Prepared {
  readonly name: string;
  /** Undefined until the server has told the columns. */
  reader: RowReader | undefined;
  /** The larger, the later. */
  usedAt: number;
  /** Whether it changes settings of its session by a function. */
  readonly isSetting: boolean;
}

/** What an exchange needs of its connection. */
export interface Plans {
  readonly status: Status;
  readonly wire: Wire;
  readonly packet: Packet;
  readonly types: TypeTable;
  /** How the rows of open cursors are read. */
  readonly cursors: Map<string, RowReader>;
  /** @throws if a text must not be sent, because its server cannot survive it. */
  refuse(text: string): void;
  /** The statement as the server has it, or is to have it (`known` is false). */
  preparedAs(statement: Statement): { readonly known: boolean; readonly prepared: Prepared };
  /** The name of a statement that is to be closed to make room. */
  evicted(): string | undefined;
  forget(statement: Statement): void;
  /** The server has it under the name that it was given. */
  keep(statement: Statement, prepared: Prepared): void;
  /** The server has dropped all: `discard all`, `deallocate all`. */
  forgetAll(): void;
  /** A statement changes the session. */
  touched(): void;
  /** Sends an exchange once more. */
  again(exchange: Exchange): void;
}

export type Done = (error: unknown, answers: readonly Answer[]) => void;

/** A statement of a request, as it was sent. */
interface Step {
  readonly statement: Statement;
  readonly prepared: Prepared | undefined;
  /** Whether the server was asked to parse it. */
  readonly parses: boolean;
}

/** What has no values, and is not prepared. */
type Encoded = readonly (string | Buffer | null)[];

/** As many values as the protocol can count. */
const MOST_VALUES = 65_535;

const NOTHING: readonly never[] = [];

/** One request. */
export class Exchange {
  /** What the server has refused; the connection is not ready for the next request yet. */
  refusal: ServerError | undefined = undefined;
  readonly #request: Request;
  /** What goes before it, in the same write. */
  readonly #before: readonly string[];
  readonly #done: Done;
  readonly #connection: Plans;
  #answers: Answer[] = [];
  #steps: Step[] = [];
  /** How many statements the server has answered, and parsed. */
  #answered = 0;
  #parsed = 0;
  /** True the second time: whatever the server has under the names of its statements goes. */
  #parsesAnew = false;
  #rows: unknown[] = [];
  #reader: RowReader | undefined = undefined;
  /** A value that could not be sent or read; the rest is read away. */
  #misread: unknown = undefined;
  #isDone = false;
  #hasCopied = false;

  constructor(request: Request, before: readonly string[], done: Done, connection: Plans) {
    this.#request = request;
    this.#before = before;
    this.#done = done;
    this.#connection = connection;
  }

  /** Writes it. */
  send(): void {
    const { packet, wire } = this.#connection;
    const request = this.#request;
    if (request.kind === "script" || request.kind === "copyIn" || request.kind === "copyOut") {
      const text = [...this.#before, request.text].join("; ");
      try {
        this.#checkText(text);
        if (setsByFunction(request.text)) this.#connection.touched();
        packet.query(text); // brings its own ReadyForQuery
      } catch (error) {
        this.#misread = error;
        packet.sync();
      }
    } else {
      for (const text of this.#before) this.#askBefore(packet, text);
      try {
        this.#say(packet, request);
      } catch (error) {
        // A value that cannot be sent: nothing of the request was written. What goes before it goes.
        this.#misread = error;
      }
      packet.sync();
    }
    wire.send(packet);
  }

  parseComplete(): void {
    this.#parsed++;
  }

  rowDescription(key: string, read: () => WireField[]): void {
    const step = this.#steps[this.#answered];
    const reader = this.#readerFor(step, key, read);
    this.#reader = reader;
    if (step?.prepared !== undefined) step.prepared.reader = reader;
    if (this.#request.kind === "fetch") this.#connection.cursors.set(this.#request.cursor, reader);
  }

  dataRow(bytes: Buffer, at: number): void {
    if (this.#misread !== undefined) return;
    this.#reader ??= this.#readerKnown(this.#steps[this.#answered]);
    try {
      this.#rows.push((this.#reader as RowReader).read(bytes, at)); // described before
    } catch (error) {
      this.#misread = error;
    }
  }

  portalSuspended(): void {
    this.#answer("", this.#rows.length, true);
  }

  emptyQuery(): void {
    this.#answer("", 0, false);
  }

  commandComplete(tag: string): void {
    const first = tag.indexOf(" ");
    const command = first < 0 ? tag : tag.slice(0, first);
    const count = first < 0 ? 0 : Number(tag.slice(tag.lastIndexOf(" ") + 1));
    if (tag === "DISCARD ALL" || tag === "DEALLOCATE ALL") this.#forgetAll();
    this.#answer(command, Number.isNaN(count) ? 0 : count, false);
  }

  refused(error: ServerError): void {
    this.refusal ??= error;
  }

  copyIn(): void {
    const { packet, wire } = this.#connection;
    if (this.#request.kind !== "copyIn" || this.#hasCopied) {
      packet.copyFail("a copy has to be asked for by `copyFrom`, one at a time");
      // It passes over a Sync that comes while it copies, and waits for another one. Any other
      // message behind the copy ends it, and then the Sync counts.
      if (this.#answered === this.#steps.length - 1) packet.sync();
      wire.send(packet);
      return;
    }
    this.#hasCopied = true;
    const { stream } = wire;
    const isOver = (): boolean => this.refusal !== undefined || this.#isDone;
    this.#request.ready({
      write: (bytes) => {
        if (!isOver()) {
          packet.copyData(bytes);
          wire.send(packet);
        }
        return !stream.writableNeedDrain;
      },
      drained: (callback) => void stream.once("drain", callback),
      end: () => {
        if (isOver()) return;
        packet.copyDone();
        wire.send(packet);
      },
      fail: (reason) => {
        if (isOver()) return;
        packet.copyFail(reason);
        wire.send(packet);
      },
    });
  }

  copyData(bytes: Uint8Array): void {
    if (this.#request.kind === "copyOut") this.#request.chunk(bytes);
    else this.#misread ??= new DatabaseError("the bytes of a copy are asked for by `copyTo`");
  }

  /** The server is ready for the next request. */
  finish(): void {
    if (this.#isDone) return;
    const { status, cursors } = this.#connection;
    if (status === "idle" && cursors.size > 0) cursors.clear(); // the server has closed them
    if (this.refusal !== undefined) {
      this.#forgetUnparsed();
      if (this.#canHeal(this.refusal)) this.#heal();
      else this.#end(refusal(this.refusal), NOTHING);
    } else if (this.#misread !== undefined) this.#end(this.#misread, NOTHING);
    else this.#end(undefined, this.#answers);
  }

  lost(reason: Error): void {
    if (!this.#isDone) this.#end(reason, NOTHING);
  }

  #end(error: unknown, answers: readonly Answer[]): void {
    this.#isDone = true;
    this.#done(error, answers);
  }

  /** The server has dropped all plans. It makes those of the statements that follow after that. */
  #forgetAll(): void {
    this.#connection.forgetAll();
    for (const { statement, prepared, parses } of this.#steps.slice(this.#answered + 1))
      if (parses && prepared !== undefined) this.#connection.keep(statement, prepared);
  }

  /** What the server has parsed it keeps, also when the statement has failed then. */
  #forgetUnparsed(): void {
    const parses = this.#steps.filter((step) => step.parses);
    for (const { prepared, statement } of parses.slice(this.#parsed))
      if (prepared !== undefined) this.#connection.forget(statement);
  }

  /**
   * A plan that the server has no more (`deallocate all`), or has already (a pooler that changes
   * servers), or that its table has outgrown. Outside a transaction nothing has happened then, and
   * it is prepared anew.
   */
  #canHeal({ code, routine }: ServerError): boolean {
    if (this.#parsesAnew || this.#connection.status !== "idle") return false;
    if (!this.#steps.some(({ prepared }) => prepared !== undefined)) return false;
    const isOutgrown = code === "0A000" && routine === "RevalidateCachedQuery";
    return code === "26000" || code === "42P05" || isOutgrown;
  }

  #heal(): void {
    for (const { statement } of this.#steps) this.#connection.forget(statement);
    this.refusal = undefined;
    this.#parsesAnew = true;
    this.#steps = [];
    this.#answered = 0;
    this.#parsed = 0;
    this.#answers = [];
    this.#rows = [];
    this.#reader = undefined;
    this.#connection.again(this);
  }

  #answer(command: string, count: number, more: boolean): void {
    const place = this.#answered++;
    if (place < this.#before.length) return;
    const step = this.#steps[place];
    const prepared = step?.prepared;
    const reader = this.#reader ?? prepared?.reader;
    const hasRows = reader !== undefined && reader !== NO_COLUMNS;
    if (changesSession(command, this.#textOf(step), hasRows)) this.#connection.touched();
    if (prepared !== undefined) prepared.reader ??= NO_COLUMNS;
    const rows = this.#rows;
    this.#answers.push({ rows, count, command, fields: reader?.fields ?? NOTHING, more });
    this.#rows = [];
    this.#reader = undefined;
  }

  #textOf(step: Step | undefined): string {
    const request = this.#request;
    return step?.statement.text ?? ("text" in request ? request.text : "");
  }

  #say(packet: Packet, request: Request): void {
    switch (request.kind) {
      case "query":
        this.#ask(packet, request.statement, this.#encoded(request.statement), "", 0);
        break;
      case "batch": {
        // Before anything is written.
        const values = request.statements.map((statement) => this.#encoded(statement));
        for (const [index, statement] of request.statements.entries())
          this.#ask(packet, statement, values[index] ?? NOTHING, "", 0);
        break;
      }
      case "fetch":
        this.#fetch(packet, request);
        break;
      case "close":
        this.#connection.cursors.delete(request.cursor);
        packet.closePortal(request.cursor);
        break;
      default: // the others are written as they are
    }
  }

  #fetch(packet: Packet, request: Request & { kind: "fetch" }): void {
    const { cursor, statement, rows } = request;
    const { cursors } = this.#connection;
    if (request.opens) {
      this.#ask(packet, statement, this.#encoded(statement), cursor, rows);
      const known = this.#readerKnown(this.#steps[this.#before.length]);
      if (known !== undefined) cursors.set(cursor, known); // the server does not tell the columns again
    } else {
      this.#reader = cursors.get(cursor);
      packet.execute(cursor, rows);
    }
  }

  /**
   * A statement that only goes before the request: its answer is not told, its failure is. BEGIN is
   * prepared where the request is, for parsing it takes the server longer than running it.
   */
  #askBefore(packet: Packet, text: string): void {
    const prepare = this.#keepsPlan && text.startsWith("begin");
    this.#ask(packet, { text, values: NOTHING, prepare }, NOTHING, "", 0, false);
  }

  get #keepsPlan(): boolean {
    const [statement] = statementsOf(this.#request);
    return statement?.prepare === true;
  }

  #ask(
    packet: Packet,
    statement: Statement,
    values: Encoded,
    portal: string,
    rows: number,
    describes = true,
  ): void {
    let name = "";
    let knows = false;
    let parses = true;
    let prepared: Prepared | undefined;
    if (statement.prepare) {
      const found = this.#connection.preparedAs(statement);
      prepared = found.prepared;
      name = prepared.name;
      parses = !found.known || this.#parsesAnew;
      knows = found.known && prepared.reader !== undefined;
    }
    this.#steps.push({ statement, prepared, parses });
    if (prepared?.isSetting ?? setsByFunction(statement.text)) this.#connection.touched();
    if (parses) {
      if (prepared !== undefined && this.#parsesAnew) packet.closeStatement(name);
      packet.parse(name, statement.text);
      const evicted = prepared === undefined ? undefined : this.#connection.evicted();
      if (evicted !== undefined) packet.closeStatement(evicted);
    }
    packet.bind(portal, name, values);
    if (describes && !knows) packet.describe(portal);
    packet.execute(portal, rows);
  }

  #encoded({ text, values }: Statement): Encoded {
    this.#checkText(text);
    if (values.length > MOST_VALUES)
      throw new ValueError(
        `a statement takes at most ${MOST_VALUES} values, got ${values.length}. Send an array to \`any($1)\` or \`unnest($1)\`, or several statements in a \`batch\``,
      );
    return values.map(encode);
  }

  #checkText(text: string): void {
    // It would end there, and what follows would be taken for something else.
    if (text.includes("\0"))
      throw new ValueError("the text of a statement holds NUL, which PostgreSQL cannot read");
    this.#connection.refuse(text);
  }

  /** How the rows of a plan are read whose columns the server has told before. */
  #readerKnown(step: Step | undefined): RowReader | undefined {
    const known = step?.prepared?.reader;
    const own = step?.statement.parsers; // they come with the query, and not with the plan
    if (known === undefined || own === undefined) return known;
    return new RowReader(known.fields, this.#connection.types, own, step?.statement.arrays);
  }

  #readerFor(step: Step | undefined, key: string, read: () => WireField[]): RowReader {
    const request = this.#request;
    const { types } = this.#connection;
    const asked = request.kind === "script" ? request : step?.statement;
    const own = asked?.parsers;
    const arrays = asked?.arrays === true;
    if (own !== undefined) return new RowReader(read(), types, own, arrays);
    return types.readerOf(key, arrays, () => new RowReader(read(), types, undefined, arrays));
  }
}

const NO_COLUMNS: RowReader = new RowReader([], { parserOf: () => undefined });

function statementsOf(request: Request): readonly Statement[] {
  if (request.kind === "batch") return request.statements;
  return request.kind === "query" || request.kind === "fetch" ? [request.statement] : NOTHING;
}
