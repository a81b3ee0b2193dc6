/**
 * Kysely on a database of this package: its own API, on our pool, with our cancellation and our
 * answers to "did it commit?". A transaction of Kysely's is one of ours; a `signal` of Kysely's
 * cancels the query on the server, in a transaction too. Values are read as the database reads them.
 * Kysely's Migrator works as it is: it takes its own lock. On SQLite all queries of Kysely go to the
 * connection that writes, since Kysely does not say which of them only read.
 * @module asyncio-ts-db/kysely
 */

import { timeout } from "asyncio-ts";
import {
  type AbortableOperationOptions,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type TransactionSettings,
} from "kysely";
import type { Borrowed } from "./borrowed.ts";
import { Database } from "./database.ts";
import type { Answer, Request } from "./driver.ts";
import { argumentError } from "./options.ts";
import { titleOf } from "./sql.ts";
import { RowStream } from "./stream.ts";

/** A dialect for `new Kysely({ dialect: dialect(db) })`. `destroy` of Kysely leaves `db` open. */
export function dialect(database: Database): Dialect {
  if (!(database instanceof Database))
    throw argumentError("`dialect`", "a database made by `connect`", database);
  const createDriver = (): Driver => new KyselyDriver(database);
  if (database.engine === "sqlite")
    return {
      createAdapter: () => new PooledSqliteAdapter(),
      createDriver,
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    };
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver,
    createIntrospector: (kysely) => new PostgresIntrospector(kysely),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}

/**
 * Kysely has a lock of its own for databases of one connection, and a query that waits for that lock
 * cannot be cancelled. Here it waits in the line of the pool.
 */
class PooledSqliteAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class KyselyDriver implements Driver {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async init(): Promise<void> {}

  async acquireConnection(options?: AbortableOperationOptions): Promise<KyselyConnection> {
    return await within(options, async () => new KyselyConnection(await this.#database.borrow()));
  }

  async beginTransaction(
    connection: KyselyConnection,
    { isolationLevel, accessMode }: TransactionSettings,
  ): Promise<void> {
    // SQLite has one level, and whoever writes is alone.
    if (this.#database.engine === "sqlite") return await connection.say("begin");
    const level = isolationLevel === undefined ? "" : ` isolation level ${isolationLevel}`;
    await connection.say(`begin${level}${accessMode === undefined ? "" : ` ${accessMode}`}`);
  }

  async commitTransaction(connection: KyselyConnection): Promise<void> {
    await connection.say("commit");
  }

  async rollbackTransaction(connection: KyselyConnection): Promise<void> {
    await connection.say("rollback");
  }

  async savepoint(connection: KyselyConnection, name: string): Promise<void> {
    await connection.say(`savepoint ${quoted(name)}`);
  }

  async rollbackToSavepoint(connection: KyselyConnection, name: string): Promise<void> {
    await connection.say(`rollback to savepoint ${quoted(name)}`);
  }

  async releaseSavepoint(connection: KyselyConnection, name: string): Promise<void> {
    await connection.say(`release savepoint ${quoted(name)}`);
  }

  async releaseConnection(connection: KyselyConnection): Promise<void> {
    connection.release();
  }

  async destroy(): Promise<void> {}
}

class KyselyConnection implements DatabaseConnection {
  readonly #borrowed: Borrowed;

  constructor(borrowed: Borrowed) {
    this.#borrowed = borrowed;
  }

  async executeQuery<R>(
    { sql, parameters }: CompiledQuery,
    options?: AbortableOperationOptions,
  ): Promise<QueryResult<R>> {
    const prepare = this.#borrowed.prepares && parameters.length > 0;
    const statement = { text: sql, values: parameters, prepare };
    const [answer] = await within(options, () => this.#send({ kind: "query", statement }, sql));
    const rows = [...(answer?.rows ?? [])] as R[]; // what they are, Kysely's types say
    const { command = "", count = 0 } = answer ?? {};
    return /^(?:INSERT|UPDATE|DELETE|MERGE)$/.test(command)
      ? { rows, numAffectedRows: BigInt(count) }
      : { rows };
  }

  async *streamQuery<R>(
    { sql, parameters }: CompiledQuery,
    chunkSize: number,
  ): AsyncIterableIterator<QueryResult<R>> {
    const statement = { text: sql, values: parameters, prepare: false };
    const begins = !this.#borrowed.isInTransaction;
    const stream = new RowStream<R>(
      {
        open: async () => {
          if (begins) await this.say("begin");
          return (request) => this.#send(request, sql);
        },
        close: async (cursor, isAtEnd) => {
          if (begins) await this.say(isAtEnd ? "commit" : "rollback");
          else if (!isAtEnd) await this.#borrowed.closeCursor(cursor);
        },
      },
      statement,
      titleOf(sql),
      { batch: chunkSize },
    );
    for await (const row of stream) yield { rows: [row] };
  }

  async say(text: string): Promise<void> {
    await this.#send({ kind: "script", text }, text);
  }

  release(): void {
    this.#borrowed.release();
  }

  #send(request: Request, text: string): Promise<readonly Answer[]> {
    return this.#borrowed.send(request, text, titleOf(text));
  }
}

/** In a scope that Kysely's signal ends, if there is one. */
function within<T>(
  options: AbortableOperationOptions | undefined,
  body: () => Promise<T>,
): Promise<T> {
  const signal = options?.signal;
  return signal === undefined ? body() : timeout(null, body, { signal });
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
