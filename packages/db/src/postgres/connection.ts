/**
 * One session of PostgreSQL, on a client of `pg`. The client connects, proves who it is and reads
 * messages; what is said on the wire is said here. So it is known when the server is ready for the
 * next request (ReadyForQuery), and in which state, which the client's own queries do not tell when
 * they fail.
 */

import { createHash } from "node:crypto";
import type { ConnectionOptions } from "node:tls";
import type { DriverConnection, Request, Statement, Status } from "../driver.ts";
import { ConnectionLostError } from "../errors.ts";
import type { Address, CancelLine, CancelRequest } from "./cancel.ts";
import { type Done, Exchange, type Plans, type Prepared } from "./exchange.ts";
import type { PgClient, ServerError } from "./shape.ts";
import type { TypeTable } from "./values.ts";

/** Prepared statements that a session keeps; the one that was used least lately goes. */
const MOST_PREPARED = 100;
/** Seconds that a polite good-bye may take. */
const FAREWELL = 1;

export interface PgConnectionOptions {
  readonly types: TypeTable;
  readonly tls: ConnectionOptions | undefined;
  readonly address: Address;
  readonly reset: string;
  readonly cancels: Pick<CancelLine, "send">;
}

/** What tells plans apart: rows may be read in two ways. */
function keyOf({ text, arrays }: Statement): string {
  return arrays === true ? `${text}\0arrays` : text;
}

/**
 * The name of a statement is made of its text: behind a pooler one server has many clients, and what
 * another one has prepared under this name is the same.
 */
function nameOf(key: string): string {
  return `a_${createHash("sha256").update(key).digest("base64url").slice(0, 22)}`;
}

/** A session of PostgreSQL. */
export class PgConnection implements DriverConnection, Plans {
  readonly label: string;
  readonly reset: string;
  status: Status = "idle";
  lost: Error | undefined = undefined;
  onLost: ((reason: Error) => void) | undefined = undefined;
  onNotification: ((channel: string, payload: string) => void) | undefined = undefined;
  readonly #client: PgClient;
  readonly #options: PgConnectionOptions;
  readonly #prepared: Map<string, Prepared> = new Map();
  /** How many times plans were used so far. */
  #uses = 0;
  /** The exchange that the server works on. */
  #exchange: Exchange | undefined = undefined;
  #cancel: CancelRequest | undefined = undefined;
  /** What the server said before it closed the connection. */
  #lastWords: ServerError | undefined = undefined;
  #gone: () => void = () => {};
  readonly #isGone: Promise<void>;

  /** @param client - connected */
  constructor(client: PgClient, options: PgConnectionOptions) {
    this.#client = client;
    this.#options = options;
    this.reset = options.reset;
    this.label = `session ${client.processID} of ${describeAddress(options.address)}`;
    this.#isGone = new Promise((resolve) => {
      this.#gone = resolve;
    });
    client.on("error", (error) => {
      this.#lastWords ??= error as ServerError;
      this.#lose(this.#lossOf(error));
    });
    client.on("notification", ({ channel, payload }) => {
      this.onNotification?.(channel, payload ?? "");
    });
    const wire = client.connection;
    wire.on("parseComplete", () => this.#exchange?.parseComplete());
    wire.on("readyForQuery", (message: { readonly status: string }) => this.#ready(message.status));
    wire.on("end", () => this.#ended());
  }

  /** The number of the server's process. */
  get processId(): number {
    return this.#client.processID ?? 0;
  }

  run(request: Request, done: Done): void {
    if (this.lost !== undefined) {
      done(this.lost, []);
      return;
    }
    const exchange = new Exchange(request, this.#options.types, done, this);
    this.#exchange = exchange;
    this.#client.query(exchange);
  }

  cancel(): Promise<void> {
    const { processID, secretKey } = this.#client;
    if (processID === null || secretKey === null)
      return Promise.reject(new Error("the server has given no key to cancel with"));
    const { address, tls, cancels } = this.#options;
    const request = cancels.send(address, processID, secretKey, tls);
    this.#cancel = request;
    return request.ended;
  }

  pause(): void {
    this.#client.connection.stream.pause();
  }

  resume(): void {
    this.#client.connection.stream.resume();
  }

  async close(): Promise<void> {
    if (this.lost === undefined) {
      const timer = setTimeout(() => this.#client.connection.stream.destroy(), FAREWELL * 1000);
      this.lost = new ConnectionLostError(`${this.label} is closed`);
      this.#client.end(() => {});
      await this.#isGone;
      clearTimeout(timer);
    } else await this.#isGone;
  }

  destroy(reason: Error): void {
    this.#client.connection.stream.destroy();
    this.#cancel?.destroy();
    this.#lose(reason);
  }

  preparedAs(statement: Statement): { readonly known: boolean; readonly statement: Prepared } {
    const key = keyOf(statement);
    const known = this.#prepared.get(key);
    if (known !== undefined) {
      known.usedAt = ++this.#uses;
      return { known: true, statement: known };
    }
    const prepared = { name: nameOf(key), reader: undefined, usedAt: ++this.#uses };
    this.#prepared.set(key, prepared);
    return { known: false, statement: prepared };
  }

  evicted(): string | undefined {
    if (this.#prepared.size <= MOST_PREPARED) return undefined;
    let oldest: readonly [string, Prepared] | undefined;
    for (const entry of this.#prepared)
      if (oldest === undefined || entry[1].usedAt < oldest[1].usedAt) oldest = entry;
    if (oldest !== undefined) this.#prepared.delete(oldest[0]);
    return oldest?.[1].name;
  }

  forget(statement: Statement): void {
    this.#prepared.delete(keyOf(statement));
  }

  again(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#client.query(exchange);
  }

  forgetAll(): void {
    this.#prepared.clear();
  }

  #ready(status: string): void {
    this.status = status === "I" ? "idle" : status === "T" ? "transaction" : "failed";
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.finish();
  }

  #ended(): void {
    this.#gone();
    this.#lose(this.#lossOf(undefined));
  }

  #lossOf(error: Error | undefined): Error {
    const words = this.#exchange?.refusal ?? this.#lastWords ?? error;
    const why = words === undefined ? "the server has closed it" : words.message;
    const sqlstate = (words as ServerError | undefined)?.severity && (words as ServerError).code;
    const options = words === undefined ? {} : { cause: words, sqlstate: sqlstate || undefined };
    return new ConnectionLostError(`the connection to the database is lost: ${why}`, options);
  }

  #lose(reason: Error): void {
    const isNews = this.lost === undefined;
    this.lost ??= reason;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (isNews) this.#client.connection.stream.destroy();
    exchange?.lost(this.lost);
    if (isNews) this.onLost?.(this.lost);
  }
}

function describeAddress(address: Address): string {
  return "path" in address ? address.path : `${address.host}:${address.port}`;
}
