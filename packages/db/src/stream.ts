/**
 * The rows of a query as an async iterable: a cursor of the server, asked for a batch at a time, so
 * a consumer that is slow keeps the server waiting and not the memory full.
 */

import type { Answer, Request, Statement } from "./driver.ts";
import { OneReader } from "./one-reader.ts";
import { checkCount, isTable } from "./options.ts";
import { type QueryOptions, rowsOf } from "./queries.ts";

/** What `stream` takes. */
export interface StreamOptions<Row> extends QueryOptions<Row> {
  /** How many rows are asked for at a time. @default 500 */
  readonly batch?: number | undefined;
}

/** Where a stream gets its connection from, and what becomes of it. */
export interface StreamSource {
  /** Gives the function that sends requests to the connection of the cursor. */
  open(): Promise<(request: Request) => Promise<readonly Answer[]>>;
  /** Called once after `open`, whether it has succeeded or not. `failure`: what a request ended with. */
  close(cursor: string, isAtEnd: boolean, failure: unknown): Promise<void>;
}

let cursors = 0;

/** The iterator of a stream. One loop over it at a time. */
export class RowStream<Row> implements AsyncIterableIterator<Row, undefined> {
  readonly #source: StreamSource;
  readonly #statement: Statement;
  readonly #title: string;
  readonly #options: StreamOptions<Row>;
  readonly #cursor = `asyncio_${++cursors}`;
  #send: ((request: Request) => Promise<readonly Answer[]>) | undefined = undefined;
  #state: "new" | "open" | "closed" = "new";
  #rows: readonly Row[] = [];
  #next = 0;
  #isAtEnd = false;
  readonly #reader: OneReader;
  /** True once the loop was left while `next` runs. */
  #isLeft = false;

  constructor(
    source: StreamSource,
    statement: Statement,
    title: string,
    options: StreamOptions<Row> = {},
  ) {
    checkCount("`stream`", "batch", options.batch);
    this.#source = source;
    this.#statement = statement;
    this.#title = title;
    this.#reader = new OneReader(title);
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Row, undefined>> {
    return this.#reader.read(() => this.#take());
  }

  async #take(): Promise<IteratorResult<Row, undefined>> {
    for (;;) {
      if (this.#isLeft) return await this.#leave();
      if (this.#next < this.#rows.length)
        return { done: false, value: this.#rows[this.#next++] as Row }; // it is in range
      if (this.#state === "closed") return { done: true, value: undefined };
      if (this.#isAtEnd) {
        await this.#close();
        return { done: true, value: undefined };
      }
      await this.#fetch();
    }
  }

  /** Leaving the loop: closes the cursor, and waits until it is closed. */
  async return(): Promise<IteratorResult<Row, undefined>> {
    if (!this.#reader.isReading) return await this.#leave();
    this.#isLeft = true; // the call of `next` that is under way closes it
    return { done: true, value: undefined };
  }

  async #leave(): Promise<IteratorResult<Row, undefined>> {
    this.#rows = [];
    this.#next = 0;
    await this.#close();
    return { done: true, value: undefined };
  }

  async #fetch(): Promise<void> {
    const opens = this.#state === "new";
    this.#state = "open";
    try {
      this.#send ??= await this.#source.open();
      const rows = this.#options.batch ?? 500;
      const [answer] = await this.#send({
        kind: "fetch",
        cursor: this.#cursor,
        statement: this.#statement,
        rows,
        opens,
      });
      this.#isAtEnd = answer?.more !== true;
      this.#rows = await rowsOf(answer, this.#title, this.#options.row);
      this.#next = 0;
    } catch (error) {
      await this.#close(error);
      throw error;
    }
  }

  async #close(failure?: unknown): Promise<void> {
    const wasOpen = this.#state === "open";
    this.#state = "closed";
    if (wasOpen) await this.#source.close(this.#cursor, this.#isAtEnd, failure);
  }
}

/** @internal The options that a stream shares with a query. */
export function withoutBatch<Row>(
  options: StreamOptions<Row> | undefined,
): QueryOptions<Row> | undefined {
  if (!isTable(options)) return options; // who checks it refuses it
  const { batch: _, ...rest } = options;
  return rest;
}
