// A connection to PostgreSQL as tasks want it, on the package `pg`. What there is to learn from it:
//
// - A query whose caller has left goes on in the server, and holds its locks. So a cancelled
//   `query` tells the server, and waits until it has stopped: that is `joined`. Only then may the
//   connection be used again.
// - To cancel means to name a connection, and not a query: what arrives late hits the next one. So
//   the work counts as ended when the query has its answer *and* the cancelling has, too.
// - A server that does not react has a few seconds. Then the socket goes, and the query fails by
//   that.
// - A value that comes all the same is handed over. So a COMMIT that was in time is told as one,
//   whatever deadline passed meanwhile.

import { Socket } from "node:net";
import { setTimeout } from "node:timers/promises";
import * as asyncio from "asyncio-ts";
import { Client, type ClientConfig, type QueryResult, type QueryResultRow } from "pg";
import { isNetworkError } from "../command-line.ts";

export interface SessionOptions {
  /** Seconds that connecting may take. @default 5 */
  readonly connectSeconds?: number | undefined;
  /** Seconds that the server has to stop a query, and to end a transaction. @default 2 */
  readonly grace?: number | undefined;
}

/**
 * There is no connection any more. Where that was found out by a COMMIT, it may have happened, or
 * not.
 */
export class LostError extends Error {
  override readonly name = "LostError";
}

export class Session implements AsyncDisposable {
  /** The process of the server that serves this session. */
  #pid = 0;
  readonly #config: ClientConfig;
  readonly #grace: number;
  readonly #socket: Socket;
  readonly #client: Client;

  private constructor(config: ClientConfig, grace: number) {
    this.#config = config;
    this.#grace = grace;
    this.#socket = new Socket();
    this.#client = new Client({ ...config, stream: () => this.#socket });
    this.#client.on("error", () => {}); // the next query tells it
  }

  /** Connects. Cancelled, it leaves nothing open. */
  static async open(config: ClientConfig, options: SessionOptions = {}): Promise<Session> {
    const { connectSeconds = 5, grace = 2 } = options;
    const session = new Session(config, grace);
    const destroy = () => session.#socket.destroy();
    try {
      await asyncio.timeout(connectSeconds, async () => {
        await asyncio.joined(() => session.#client.connect(), { grace: 0, destroy });
        const [row] = await session.query<{ pid: number }>("select pg_backend_pid() as pid");
        session.#pid = row?.pid ?? 0;
      });
      return session;
    } catch (error) {
      destroy();
      throw error;
    }
  }

  /**
   * Runs a query, and gives its rows. Cancelled, it has ended in the server, too, when this
   * rejects.
   */
  async query<R extends QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<R[]> {
    return (await this.#send<R>(text, values)).rows;
  }

  #send<R extends QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<QueryResult<R>> {
    const query = async (signal: AbortSignal) => {
      let isAnswered = false;
      let cancelling: Promise<void> | undefined;
      const cancel = () => {
        cancelling = this.#cancelUntil(() => isAnswered);
      };
      signal.addEventListener("abort", cancel, { once: true });
      try {
        return await this.#client.query<R>(text, [...values]);
      } finally {
        isAnswered = true;
        signal.removeEventListener("abort", cancel);
        await cancelling;
      }
    };
    const destroy = () => this.#socket.destroy();
    return asyncio.joined(query, { grace: this.#grace, destroy });
  }

  /** Commits what `body` does, or rolls it back when `body` fails or is cancelled. */
  async transaction<T>(body: () => Promise<T>): Promise<T> {
    await this.query("begin");
    let value: T;
    try {
      value = await body();
    } catch (error) {
      await this.#end("rollback").catch(() => this.#socket.destroy()); // the server rolls back then
      throw error;
    }
    await this.#end("commit");
    return value;
  }

  /** A part of a transaction that is undone alone when it fails. */
  async savepoint<T>(body: () => Promise<T>): Promise<T> {
    await this.query("savepoint here");
    try {
      const value = await body();
      await this.query("release savepoint here");
      return value;
    } catch (error) {
      await this.#end("rollback to savepoint here").catch(() => this.#socket.destroy());
      throw error;
    }
  }

  /** Calls `listener` for each notification on this channel. */
  async listen(channel: string, listener: () => void): Promise<void> {
    this.#client.on("notification", listener);
    await this.query(`listen ${this.#client.escapeIdentifier(channel)}`);
  }

  /** Waits until the connection is lost, and throws. */
  async lost(): Promise<never> {
    const closed = new asyncio.Event();
    this.#socket.once("close", () => closed.set());
    if (!this.#socket.destroyed) await closed.wait();
    throw new LostError("the connection was lost");
  }

  /** Says good-bye. */
  async [Symbol.asyncDispose](): Promise<void> {
    const end = () => this.#client.end();
    await asyncio.cleanup(this.#grace, () => asyncio.cancellable(end)).catch(() => {});
    this.#socket.destroy();
  }

  /**
   * No cancellation reaches this, and it has an end: how a transaction ends must not be left open.
   */
  async #end(how: string): Promise<void> {
    const result = await asyncio.cleanup(this.#grace, () => this.#send(how));
    if (result === undefined) {
      this.#socket.destroy();
      throw new LostError(`no answer to \`${how}\` in ${this.#grace} s: it may have happened`);
    }
    // So the server answers a COMMIT after a query that has failed.
    if (how === "commit" && result.command === "ROLLBACK")
      throw new Error("the transaction was rolled back, because a query in it had failed");
  }

  /**
   * Tells the server to stop, by a connection of its own, since this one is busy; and again,
   * because what comes before the server has begun with the query is lost. That this fails is no
   * matter: the socket goes then.
   */
  async #cancelUntil(isAnswered: () => boolean): Promise<void> {
    const other = new Client(this.#config);
    other.on("error", () => {});
    try {
      await other.connect();
      while (!isAnswered()) {
        await other.query("select pg_cancel_backend($1)", [this.#pid]);
        await setTimeout(10);
      }
    } catch {
    } finally {
      await other.end().catch(() => {});
    }
  }
}

/**
 * Whether an error says that there is no connection any more, for which the cure is another one.
 */
export function isLoss(error: unknown): boolean {
  if (error instanceof asyncio.ExceptionGroup) return error.flatten().every(isLoss);
  if (error instanceof LostError || isNetworkError(error)) return true;
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const isOfServer = typeof code === "string" && /^(08|57P)/.test(code); // the classes of its going down
  return (
    isOfServer ||
    /^(Connection terminated|Client has encountered|Client was closed)/.test(String(message))
  );
}
