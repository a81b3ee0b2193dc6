/**
 * What requests have cost. A row for each request, written in batches: many requests that end at
 * once wait for one commit. A database that is away for a while loses no row: the rows stay in
 * line, and the writer tries again.
 */

import { randomUUID } from "node:crypto";
import * as asyncio from "asyncio-ts";
import { type Database, sql } from "asyncio-ts-db";

/** One request, as it has ended. */
export interface LedgerRow {
  readonly keyId: string;
  readonly host: string;
  /** The target's status; null if there was no answer. */
  readonly status: number | null;
  /** Why there is no page; null if there is one. */
  readonly code: string | null;
  readonly attempts: number;
  readonly sent: number;
  readonly received: number;
  readonly cost: number;
  readonly seconds: number;
}

/** Sums over rows of one key. */
export interface Usage {
  readonly requests: number;
  /** Requests that gave a page. */
  readonly pages: number;
  readonly attempts: number;
  readonly sent: number;
  readonly received: number;
  readonly cost: number;
  /** How many requests failed, by code. */
  readonly failures: Readonly<Record<string, number>>;
}

interface Waiting {
  readonly id: string;
  readonly at: Date;
  readonly row: LedgerRow;
  readonly written: asyncio.Event;
}

const BATCH = 500;
/** Above it the oldest rows go, and are counted: a service must not die of its ledger. */
const MAX_WAITING = 100_000;

export class Ledger {
  readonly #db: Database;
  readonly #waiting: Waiting[] = [];
  readonly #more = new asyncio.Event();
  readonly #onTrouble: (error: unknown) => void;
  #isClosing = false;
  #dropped = 0;
  #isWell = true;

  constructor(db: Database, onTrouble: (error: unknown) => void) {
    this.#db = db;
    this.#onTrouble = onTrouble;
  }

  /** Rows that are not written yet, and rows that were given up. */
  statistics(): { readonly waiting: number; readonly dropped: number; readonly isWell: boolean } {
    return { waiting: this.#waiting.length, dropped: this.#dropped, isWell: this.#isWell };
  }

  /**
   * Puts a row in line, and waits until it is written, `patience` seconds at most: whether it is. If
   * not, or if the caller is cancelled, the row stays in line.
   */
  async record(row: LedgerRow, patience = 1): Promise<boolean> {
    const waiting = { id: randomUUID(), at: new Date(), row, written: new asyncio.Event() };
    this.#waiting.push(waiting);
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.shift();
      this.#dropped++;
    }
    this.#more.set();
    await asyncio.moveOnAfter(patience, () => waiting.written.wait());
    return waiting.written.isSet();
  }

  /** Waits until the rows that are in line now are written. */
  async flushed(): Promise<void> {
    await this.#waiting.at(-1)?.written.wait();
  }

  /** Writes what comes, until `close`. Runs as a task of whoever opened the store. */
  async write(): Promise<void> {
    let pause = 0.1;
    while (!(this.#isClosing && this.#waiting.length === 0)) {
      await this.#more.wait();
      this.#more.clear();
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.slice(0, BATCH);
        try {
          await this.#insert(batch);
          this.#isWell = true;
          pause = 0.1;
        } catch (error) {
          if (error instanceof asyncio.CancelledError) throw error;
          this.#isWell = false;
          this.#onTrouble(error);
          await asyncio.sleep(pause);
          pause = Math.min(pause * 2, 5);
          continue;
        }
        const written = new Set(batch);
        // The line may have lost its oldest meanwhile, so they are looked for.
        const rest = this.#waiting.filter((waiting) => !written.has(waiting));
        this.#waiting.splice(0, this.#waiting.length, ...rest);
        for (const waiting of batch) waiting.written.set();
      }
    }
  }

  /** Lets `write` end when all is written. */
  close(): void {
    this.#isClosing = true;
    this.#more.set();
  }

  async #insert(batch: readonly Waiting[]): Promise<void> {
    const rows = batch.map(({ id, at, row }) => ({
      id,
      key_id: row.keyId,
      at,
      host: row.host,
      status: row.status,
      code: row.code,
      attempts: row.attempts,
      sent: row.sent,
      received: row.received,
      cost: row.cost,
      seconds: row.seconds,
    }));
    // A batch whose answer was lost may be in the table: its rows are not written twice.
    await this.#db.execute(sql`
      insert into ledger (id, key_id, at, host, status, code, attempts, sent, received, cost, seconds)
      values ${sql.values(rows)} on conflict (id) do nothing`);
  }

  /** Sums of one key from `from` on, before `to`. Rows that are not written yet are not in them. */
  async usage(keyId: string, from: Date, to: Date): Promise<Usage> {
    const rows = await this.#db.query<{
      code: string | null;
      n: number;
      attempts: number;
      sent: number;
      received: number;
      cost: number;
    }>(sql`
      select code, cast(count(*) as double precision) as n,
        cast(sum(attempts) as double precision) as attempts,
        cast(sum(sent) as double precision) as sent,
        cast(sum(received) as double precision) as received,
        sum(cost) as cost
      from ledger where key_id = ${keyId} and at >= ${from} and at < ${to} group by code`);
    const failures: Record<string, number> = Object.create(null);
    const sums = { requests: 0, pages: 0, attempts: 0, sent: 0, received: 0, cost: 0 };
    for (const row of rows) {
      sums.requests += row.n;
      if (row.code === null) sums.pages += row.n;
      else failures[row.code] = row.n;
      sums.attempts += row.attempts;
      sums.sent += row.sent;
      sums.received += row.received;
      sums.cost += row.cost;
    }
    return { ...sums, failures };
  }
}
