/**
 * The driver of PGlite: PostgreSQL's protocol without a network. What is said on the wire, and how
 * values are read, is that of PostgreSQL. PGlite has one session, on the thread of its caller.
 */

import { CancelledError, timeout } from "asyncio-ts";
import pg from "pg";
import type { Dialect, Driver, DriverConnection } from "../driver.ts";
import { ConnectError, DatabaseError } from "../errors.ts";
import { PgConnection } from "../postgres/connection.ts";
import { dialect } from "../postgres/dialect.ts";
import { connected, RESET } from "../postgres/driver.ts";
import { wordsOf } from "../postgres/session-changes.ts";
import type { PgClient } from "../postgres/shape.ts";
import type { TypeTable } from "../postgres/values.ts";
import { endOf, type Pglite, PgliteWire } from "./wire.ts";

/** Seconds that a PGlite has to get ready. */
const STARTING = 60;

/** What to do instead of a COPY. */
const NO_COPY = "Write many rows by `sql.values(rows)`, in a transaction";

/** Those whose session is in use. */
const sessions = new WeakSet<Pglite>();

export class PgliteDriver implements Driver {
  readonly engine = "pglite";
  readonly dialect: Dialect = {
    begin: dialect.begin,
    isCancelled: dialect.isCancelled,
    placeholder: dialect.placeholder,
    lock: dialect.lock,
    lacks: {
      copy: NO_COPY,
      listen: "It has one session: use the `listen` of the PGlite itself",
    },
  };
  readonly #pglite: Pglite;
  readonly #types: TypeTable;

  constructor(pglite: Pglite, types: TypeTable) {
    this.#pglite = pglite;
    this.#types = types;
  }

  async connect(): Promise<DriverConnection> {
    this.#checkAlive();
    if (sessions.has(this.#pglite))
      throw new ConnectError(
        "ERR_DATABASE_TOO_MANY_CONNECTIONS",
        "a PGlite has one session, and this one's is in use. Close the other database first",
      );
    sessions.add(this.#pglite);
    const wire = new PgliteWire(this.#pglite, RESET, () => sessions.delete(this.#pglite));
    const client = new pg.Client({
      stream: () => wire as never, // what pg asks of a socket, it has
      user: "postgres",
      database: "postgres",
      password: "",
    }) as unknown as PgClient; // its inside is not in its types: see shape.ts
    client.on("error", () => {}); // told by the callback of `connect`, and by the connection later
    try {
      await timeout(STARTING, () => connected(client));
    } catch (error) {
      wire.destroy();
      if (error instanceof CancelledError) throw error;
      this.#checkAlive();
      const message = `the PGlite does not answer: ${(error as Error).message}`;
      throw new ConnectError("ERR_DATABASE_UNREACHABLE", message, { cause: error });
    }
    return new PgConnection(client, {
      types: this.#types,
      address: { path: "PGlite" },
      reset: RESET,
      parameters: new Map(),
      cancels: NOBODY_TO_ASK,
      refuse: refuseCopy,
    });
  }

  #checkAlive(): void {
    const end = endOf(this.#pglite);
    if (end === undefined) return;
    const message = `${end.message}. Make another one, by \`PGlite.create()\``;
    throw new ConnectError("ERR_DATABASE_UNREACHABLE", message, { cause: end });
  }
}

/** A COPY waits for bytes that come later. A PGlite has no later: its program ends, for good. */
function refuseCopy(text: string): void {
  if (copies(text))
    throw new DatabaseError(`a COPY is not there for pglite. ${NO_COPY}`, { sqlstate: "0A000" });
}

/** Whether a text, or one of the statements in it, is a COPY from or to the client. */
function copies(text: string): boolean {
  if (!STREAM.test(text)) return false;
  const words = wordsOf(text);
  // Rather one too many than the end of the PGlite.
  if (words === undefined) return /\bcopy\b/i.test(text);
  return words
    .split(";")
    .some((statement) => /^\s*copy\b/i.test(statement) && STREAM.test(statement));
}

const STREAM = /\bstd(?:in|out)\b/i;

/**
 * While a statement runs the thread stands still: by the time at which somebody can ask for its end,
 * it has ended.
 */
const NOBODY_TO_ASK = {
  send: () => ({ ended: Promise.resolve(), destroy: () => {} }),
  begun: () => {},
  unwatch: () => {},
};
