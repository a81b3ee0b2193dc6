// Jobs in a table. A worker takes one by locking its row, does it, and marks it as done, all in one
// transaction. So nothing is lost and nothing is done twice at the same time, whatever becomes of
// the worker: when it dies, the server rolls back, and the job is ready for another. (What a job
// does outside of the database happens again then.)

import * as asyncio from "asyncio-ts";
import type { QueryResultRow } from "pg";
import type { Session } from "./session.ts";
import type { JobSource } from "./worker.ts";

/**
 * Makes the table if there is none. Two who do so at once would disturb each other, so they take
 * turns.
 */
export function makeTable(session: Session): Promise<void> {
  return session.transaction(async () => {
    await session.query("select pg_advisory_xact_lock(hashtext('jobs'))");
    await session.query(`create table if not exists jobs (
      id bigint generated always as identity primary key,
      payload text not null,
      state text not null default 'ready' check (state in ('ready', 'done', 'failed')),
      attempts integer not null default 0,
      ready_at timestamptz not null default now(),
      error text
    )`);
    await session.query(
      "create index if not exists jobs_ready on jobs (ready_at, id) where state = 'ready'",
    );
  });
}

/** Who adds a job tells those who wait: `notify jobs`. */
export const CHANNEL = "jobs";

export interface Job {
  readonly id: string;
  readonly payload: string;
  /** How many times it has failed. */
  readonly attempts: number;
}

export interface JobOptions {
  /** How many times a job is tried. */
  readonly attempts: number;
  /** Seconds before the second attempt; twice as many before each further one. */
  readonly backoff: number;
  readonly run: (job: Job, session: Session) => Promise<void>;
}

export async function addJobs(session: Session, payloads: readonly string[]): Promise<void> {
  await session.query("insert into jobs (payload) select unnest($1::text[])", [payloads]);
  await session.query(`notify ${CHANNEL}`);
}

/** Jobs of the table, for a worker. */
export function jobsIn(session: Session, options: JobOptions): JobSource {
  return {
    doNext: () =>
      session.transaction(async () => {
        const [job] = await session.query<Job & QueryResultRow>(
          `select id, payload, attempts from jobs where state = 'ready' and ready_at <= now()
           order by ready_at, id limit 1 for update skip locked`,
        );
        if (job === undefined) return false;
        await attempt(session, job, options);
        return true;
      }),
  };
}

async function attempt(session: Session, job: Job, options: JobOptions): Promise<void> {
  try {
    await session.savepoint(() => options.run(job, session));
  } catch (error) {
    if (error instanceof asyncio.CancelledError) throw error;
    const attempts = job.attempts + 1;
    const state = attempts < options.attempts ? "ready" : "failed";
    await session.query(
      `update jobs set state = $2, attempts = $3, error = $4,
       ready_at = clock_timestamp() + make_interval(secs => $5) where id = $1`,
      [job.id, state, attempts, String(error), options.backoff * 2 ** job.attempts],
    );
    return;
  }
  await session.query("update jobs set state = 'done', error = null where id = $1", [job.id]);
}
