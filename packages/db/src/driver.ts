/**
 * The contract of an engine: what pool, sessions, transactions and cancellation need of it, and no
 * more. A connection takes one request at a time and answers it once, by a callback: no promise, no
 * task, so that nothing can get between what the server said and what is done about it.
 *
 *     run(request, done) ──▶ the server works ──▶ done(error, answers): ready for the next request
 *            cancel() ──▶ a way of its own ──▶ its promise: nothing of this cancel comes any more
 *
 * The rule that everything stands on: `done` is called when the server is ready for the next
 * request, not when it has begun to answer; and the promise of `cancel` settles when the server has
 * dealt with the cancel. Whoever waits for both has no cancel under way that could hit somebody
 * else's query.
 */

import type { Sql } from "./sql.ts";

/** What a connection is in, as its server tells. */
export type Status = "idle" | "transaction" | "failed";

/** A query and its values, in the engine's own notation. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Whether the server shall keep its plan. */
  readonly prepare: boolean;
  /** Whether rows come as arrays instead of objects. */
  readonly arrays?: boolean | undefined;
  /** How to read a column of this type, where it is not the engine's way. */
  readonly parsers?: Parsers | undefined;
}

/** Gives the function that reads values of a type, by its number; undefined for the engine's own. */
export type Parsers = (type: number) => ((text: string) => unknown) | undefined;

/** What a connection can be asked to do. */
export type Request =
  | { readonly kind: "query"; readonly statement: Statement }
  /** Several statements without values, in one message. */
  | {
      readonly kind: "script";
      readonly text: string;
      readonly arrays?: boolean | undefined;
      readonly parsers?: Parsers | undefined;
    }
  /** All or nothing, in one round trip. */
  | { readonly kind: "batch"; readonly statements: readonly Statement[] }
  /** The next rows of a cursor, inside a transaction; the first call opens it. */
  | {
      readonly kind: "fetch";
      readonly cursor: string;
      readonly statement: Statement;
      readonly rows: number;
      readonly opens: boolean;
    }
  | { readonly kind: "close"; readonly cursor: string }
  /** Bytes to the server, until `CopySink.end` or `fail`. */
  | { readonly kind: "copyIn"; readonly text: string; ready(sink: CopySink): void }
  /** Bytes from the server. */
  | { readonly kind: "copyOut"; readonly text: string; chunk(bytes: Uint8Array): void };

/** Where the bytes of a copy go. */
export interface CopySink {
  /** False if the host has enough for now: wait for `drained`. */
  write(bytes: Uint8Array): boolean;
  /** Calls back when the host can take more. */
  drained(callback: () => void): void;
  end(): void;
  /** Ends the copy, so that no row is kept. */
  fail(reason: string): void;
}

/** What a statement gave. */
export interface Answer {
  readonly rows: readonly unknown[];
  /** Rows that were changed or given. */
  readonly count: number;
  /** The first word of the server's: SELECT, COMMIT, ROLLBACK. */
  readonly command: string;
  /** The columns, in order. */
  readonly fields: readonly Field[];
  /** True iff the cursor has more rows. */
  readonly more: boolean;
}

/** A column of an answer. */
export interface Field {
  readonly name: string;
  /** The engine's number of its type. */
  readonly type: number;
}

/** One connection to a server. */
export interface DriverConnection {
  /** What reports call it. */
  readonly label: string;
  readonly status: Status;
  /** Whether `run` takes statements that go before a request. */
  readonly joins?: boolean;
  /**
   * Statements that bring it back to what it was when it was opened, after a session that may have
   * changed its settings; undefined if there is nothing to do.
   */
  readonly reset: string | undefined;
  /**
   * True iff a statement may have changed what whoever has the connection next would find: settings,
   * temporary tables, channels. `reset` makes it false again. Undefined where that is not known.
   */
  readonly isTouched?: boolean | undefined;
  /**
   * Takes a request. `done` comes once, when the next one may be sent; or when it is lost.
   * @param before - where the connection `joins`: statements without values that go before it in the
   * same message, also when it has a value that cannot be sent. If one of them fails, the request is
   * not begun. Their answers are not told.
   */
  run(
    request: Request,
    done: (error: unknown, answers: readonly Answer[]) => void,
    before?: readonly string[],
  ): void;
  /**
   * Asks the server to end what is running. Settles when the server has dealt with that: from then
   * on nothing of it can hit a later request. Rejects if it cannot be asked.
   */
  cancel(): Promise<void>;
  /** Stops the server's answers for a while; where there is back-pressure. */
  pause?(): void;
  resume?(): void;
  /** Closes it politely; resolves when it is gone. Never rejects. */
  close(): Promise<void>;
  /** Cuts it off in the call. What is under way ends with `reason`. */
  destroy(reason: Error): void;
  /** Why it is gone; undefined while it is there. */
  readonly lost: Error | undefined;
  /** Called once, when it is lost. */
  onLost: ((reason: Error) => void) | undefined;
  /** Called with messages that nobody has asked for. */
  onNotification: ((channel: string, payload: string) => void) | undefined;
}

/** An engine, and where its server is. */
export interface Driver {
  /** "postgres", "sqlite", "fake". */
  readonly engine: string;
  /** Opens a connection. Cancelled, it leaves none. @param reads - it need not write */
  connect(reads?: boolean): Promise<DriverConnection>;
  /**
   * Where one connection writes and the others only read: whether one of those can take a request.
   * Undefined where all connections are equal.
   */
  readonly reads?: ((request: Request) => boolean) | undefined;
  /**
   * Whether a statement attaches a file to its connection, which the others do not have then.
   * Undefined where there is no such thing, or no other connection.
   */
  readonly attaches?: ((text: string) => boolean) | undefined;
  /** The words of this engine. */
  readonly dialect: Dialect;
}

/** What a transaction says in the engine's language. */
export interface Dialect {
  /** The statements that begin a transaction, with limits in seconds (Infinity: none). */
  begin(options: {
    readonly isolation?: string | undefined;
    readonly readOnly?: boolean | undefined;
    readonly deferrable?: boolean | undefined;
    readonly seconds: number;
  }): readonly string[];
  /** Whether `error` says that the server has ended a statement because it was asked to. */
  isCancelled(error: unknown): boolean;
  /** The text of a placeholder, by its place from 1. */
  placeholder(index: number): string;
  /**
   * The statement with which a transaction takes a lock with a name; undefined where whoever writes
   * is alone already.
   */
  readonly lock: ((name: string) => Sql) | undefined;
  /**
   * How to find out later whether a transaction has committed: the query, asked in it, that gives
   * its `id`, null if it has written nothing; and the one, asked elsewhere, that gives its `fate`:
   * "committed", "aborted", "in progress", or null where nobody knows any more.
   */
  readonly fate?: { readonly id: string; of(id: string): Sql };
  /** What this engine has not, and what to do instead. */
  readonly lacks?: Readonly<Partial<Record<"copy" | "listen", string>>>;
}
