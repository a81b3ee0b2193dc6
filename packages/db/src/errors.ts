/**
 * The errors of the database doors. A class exists where a caller would react differently. Codes
 * are permanent, messages may change. `instanceof` also works when two copies of the package are
 * loaded.
 */

import { render } from "./options.ts";

type ErrorClass = abstract new (...args: never[]) => Error;

function register<C extends ErrorClass>(errorClass: C, name: string): C {
  const brand = Symbol.for(`asyncio-ts-db.${name}`);
  const known = { value: name, configurable: true, writable: true };
  Object.defineProperty(errorClass.prototype, "name", known);
  Object.defineProperty(errorClass.prototype, brand, { value: true });
  return Object.defineProperty(errorClass, Symbol.hasInstance, {
    // A subclass inherits this function; for it only the prototype chain counts.
    value(this: unknown, value: unknown): boolean {
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === "object" && value !== null && brand in value;
    },
  });
}

/** What an error knows of the query that it is about. */
export interface QueryDetails {
  /** The name of the query, or the beginning of its text. */
  readonly query?: string | undefined;
}

/**
 * The server, or the driver, has refused something. `sqlstate` is the server's code, where it gave
 * one: "23505" for a duplicate key.
 */
export class DatabaseError extends Error {
  readonly code: string = "ERR_DATABASE";
  /** The five characters of SQL's standard that classify the error; undefined if not the server's. */
  readonly sqlstate: string | undefined;
  /** The name of the query, or the beginning of its text. */
  readonly query: string | undefined;
  /** What the server adds: the value or the row that is at fault. */
  readonly detail: string | undefined;
  /** What the server advises. */
  readonly hint: string | undefined;
  /** The constraint, table, column that are at fault, as far as the server names them. */
  readonly constraint: string | undefined;
  /** The table at fault. */
  readonly table: string | undefined;
  /** The column at fault. */
  readonly column: string | undefined;

  constructor(
    message: string,
    details: QueryDetails & {
      readonly sqlstate?: string | undefined;
      readonly detail?: string | undefined;
      readonly hint?: string | undefined;
      readonly constraint?: string | undefined;
      readonly table?: string | undefined;
      readonly column?: string | undefined;
    } = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.sqlstate = details.sqlstate;
    this.query = details.query;
    this.detail = details.detail;
    this.hint = details.hint;
    this.constraint = details.constraint;
    this.table = details.table;
    this.column = details.column;
  }
}
register(DatabaseError, "DatabaseError");

/**
 * Two transactions would contradict each other, or wait for each other for ever, and this one was
 * chosen to end (40001, 40P01). It has changed nothing: run it again.
 */
export class SerializationError extends DatabaseError {
  override readonly code = "ERR_DATABASE_SERIALIZATION";
}
register(SerializationError, "SerializationError");

/** The connection to the server is gone, or could not be made; `cause` says why. */
export class ConnectionLostError extends Error {
  readonly code: string = "ERR_DATABASE_CONNECTION_LOST";
  /** The server's code, where it gave one: "57P01" if an operator has ended the session. */
  readonly sqlstate: string | undefined;

  constructor(
    message: string,
    options?: ErrorOptions & { readonly sqlstate?: string | undefined },
  ) {
    super(message, options);
    this.sqlstate = options?.sqlstate;
  }
}
register(ConnectionLostError, "ConnectionLostError");

/** A connection could not be made. `code` says why, the message what to do. */
export class ConnectError extends ConnectionLostError {
  override readonly code: string;

  constructor(
    code: string,
    message: string,
    options?: ErrorOptions & { readonly sqlstate?: string | undefined },
  ) {
    super(message, options);
    this.code = code;
  }
}
register(ConnectError, "ConnectError");

/**
 * The connection was lost, or did not answer in time, while a COMMIT was on its way: nobody on this
 * side knows whether the transaction took effect.
 */
export class CommitUnknownError extends Error {
  readonly code = "ERR_DATABASE_COMMIT_UNKNOWN";
  /** The name of the transaction. */
  readonly transaction: string;

  constructor(transaction: string, options?: ErrorOptions) {
    super(
      `whether transaction ${JSON.stringify(transaction)} has taken effect is not known: its COMMIT ` +
        "was sent, and no answer came. Look for what it was to write, or make it repeatable",
      options,
    );
    this.transaction = transaction;
  }
}
register(CommitUnknownError, "CommitUnknownError");

/**
 * A transaction cannot go on: one of its queries has failed or was cancelled, so it will be rolled
 * back whatever follows. `cause` is what has happened to that query.
 */
export class TransactionDoomedError extends Error {
  readonly code = "ERR_DATABASE_TRANSACTION_DOOMED";

  constructor(transaction: string, query: string, what: string, options?: ErrorOptions) {
    super(
      `${transaction} is to be rolled back, because query ${JSON.stringify(query)} in it ${what}. ` +
        "Let the error pass, or put what may fail into a savepoint",
      options,
    );
  }
}
register(TransactionDoomedError, "TransactionDoomedError");

/** No connection came free in time. Its message names those who hold them. */
export class PoolTimeoutError extends Error {
  readonly code = "ERR_DATABASE_POOL_TIMEOUT";
}
register(PoolTimeoutError, "PoolTimeoutError");

/** A query that had to give one row gave none. */
export class NoRowError extends Error {
  readonly code = "ERR_DATABASE_NO_ROW";

  constructor(query: string) {
    super(`query ${JSON.stringify(query)} has found no row, and one was expected`);
  }
}
register(NoRowError, "NoRowError");

/** A query that had to give one row gave more. */
export class TooManyRowsError extends Error {
  readonly code = "ERR_DATABASE_TOO_MANY_ROWS";

  constructor(query: string, count: number) {
    super(`query ${JSON.stringify(query)} has found ${count} rows, and one was expected`);
  }
}
register(TooManyRowsError, "TooManyRowsError");

/** A row is not as its schema wants it. */
export class RowError extends Error {
  readonly code = "ERR_DATABASE_ROW";
  /** What the schema has found, as Standard Schema puts it. */
  readonly issues: readonly unknown[];

  constructor(query: string, row: unknown, issues: readonly { readonly message: string }[]) {
    const why = issues.map(({ message }) => message).join("; ");
    super(
      `a row of query ${JSON.stringify(query)} is not as its schema wants it: ${why} (${render(row)})`,
    );
    this.issues = issues;
  }
}
register(RowError, "RowError");

/** A value that cannot be sent to the server, or that would lose something on its way from it. */
export class ValueError extends TypeError {
  readonly code = "ERR_DATABASE_VALUE";
}
register(ValueError, "ValueError");
