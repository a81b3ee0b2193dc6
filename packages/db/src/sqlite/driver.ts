/** The driver of SQLite: opens a file, in a thread for each connection. */

import { CancelledError, sleep } from "asyncio-ts";
import { type Executor, InlineExecutor, ThreadPoolExecutor } from "asyncio-ts/executors";
import type { Dialect, Driver, DriverConnection, Request } from "../driver.ts";
import { ConnectError } from "../errors.ts";
import { SqliteConnection, work } from "./connection.ts";
import { dialect } from "./dialect.ts";
import { type Failure, isBusy, NO_SQLITE } from "./refusal.ts";
import { wordsOf } from "./text.ts";
import type { TypeTable } from "./values.ts";

/** Seconds between two attempts to open a file that another process has locked. */
const PAUSE = 0.02;

export interface SqliteDriverOptions {
  readonly path: string;
  readonly types: TypeTable;
  readonly bigints: boolean;
  readonly synchronous: "full" | "normal" | "off";
  /** True: one connection, which does all. A database in memory is seen by one only. */
  readonly isAlone: boolean;
  /** Whether SQLite runs in threads. */
  readonly thread: boolean;
  /** Seconds that another process may keep it waiting. */
  readonly patience: number;
}

export class SqliteDriver implements Driver {
  readonly engine = "sqlite";
  readonly dialect: Dialect = dialect;
  readonly reads: ((request: Request) => boolean) | undefined;
  readonly attaches: ((text: string) => boolean) | undefined;
  readonly #options: SqliteDriverOptions;
  #opened = 0;

  constructor(options: SqliteDriverOptions) {
    this.#options = options;
    this.reads = options.isAlone ? undefined : isReading;
    this.attaches = options.isAlone ? undefined : (text) => wordsOf(text).command === "ATTACH";
  }

  async connect(reads = false): Promise<DriverConnection> {
    const { types, patience, path } = this.#options;
    if (path === ":memory:" && this.#opened > 0) throw gone();
    const kind = reads ? "reader" : "writer";
    const label = `${kind} ${++this.#opened} of ${path}`;
    const executor = await this.#executor(label);
    try {
      const verdict = new Int32Array(new SharedArrayBuffer(4));
      const id = await this.#open(executor, verdict, reads);
      return new SqliteConnection({ label, executor, id, verdict, types, patience });
    } catch (error) {
      await executor.shutdown({ cancelFutures: true });
      throw error;
    }
  }

  async #executor(name: string): Promise<Executor> {
    if (this.#options.thread)
      return new ThreadPoolExecutor({
        name,
        maxWorkers: 1,
        minWorkers: 1,
        idle: Number.POSITIVE_INFINITY,
      });
    await InlineExecutor.load(work);
    return new InlineExecutor({ name });
  }

  async #open(executor: Executor, verdict: Int32Array, reads: boolean): Promise<number> {
    const { path, bigints, synchronous, patience } = this.#options;
    // WAL: who reads does not wait for who writes. A reader finds it set, in the file.
    const settings = reads
      ? "pragma query_only = on"
      : `pragma journal_mode = wal; pragma synchronous = ${synchronous}`;
    const script = `${settings}; pragma foreign_keys = on`;
    for (let waited = 0; ; waited += PAUSE) {
      const opened = await this.#tryOpen(executor, { path, bigints, script, verdict });
      if (typeof opened === "number") return opened;
      if (!isBusy(opened) || waited >= patience) throw connectError(path, opened);
      await sleep(PAUSE);
    }
  }

  async #tryOpen(
    executor: Executor,
    opening: Parameters<typeof import("./worker.ts").open>[0],
  ): Promise<number | Failure> {
    try {
      return await executor.run(work.open, opening);
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      const { code, message: why } = error as Error & { code?: string };
      if (code === NO_SQLITE) return { message: why, number: undefined, code };
      const message = `SQLite cannot be started: ${error instanceof Error ? error.message : error}`;
      throw new ConnectError("ERR_DATABASE_UNREACHABLE", message, { cause: error });
    }
  }
}

function isReading(request: Request): boolean {
  switch (request.kind) {
    case "query":
    case "fetch":
      return wordsOf(request.statement.text).isReading;
    case "batch":
      return request.statements.every(({ text }) => wordsOf(text).isReading);
    default:
      return false;
  }
}

/** What it held went with its connection: another one would be empty. */
function gone(): ConnectError {
  const message = "the database in memory is gone: its connection was cut off";
  return new ConnectError("ERR_DATABASE_UNREACHABLE", message);
}

function connectError(path: string, { number = 0, message, code }: Failure): ConnectError {
  const what = JSON.stringify(path);
  if (code === NO_SQLITE)
    return new ConnectError(
      "ERR_DATABASE_NO_SQLITE",
      `this host has no \`node:sqlite\` (${process.version}). It is there from Node 22.16, and on Deno and Bun`,
    );
  if ((number & 0xff) === 26)
    return new ConnectError(
      "ERR_DATABASE_NOT_A_DATABASE",
      `${what} is no database of SQLite: ${message}. Is it another file, or encrypted?`,
    );
  return new ConnectError(
    "ERR_DATABASE_UNREACHABLE",
    `${what} cannot be opened: ${message}. Does its folder exist, and may this process write there?`,
  );
}
