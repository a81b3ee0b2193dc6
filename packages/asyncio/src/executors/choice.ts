/** Which worker gets the next job, and how many at a time. */

import type { PoolWorker } from "./pool-worker.ts";
import type { Work } from "./work.ts";

/** Seconds of work that a worker is handed at a time. */
const SECONDS_AHEAD = 0.002;

/** An average that forgets; NaN before the first value. */
export function average(before: number, value: number): number {
  return Number.isNaN(before) ? value : before + (value - before) / 8;
}

/** How many jobs a worker may have, if each takes `seconds`; NaN while nobody knows. */
export function jobsAhead(seconds: number, most: number): number {
  const jobs = Math.floor(SECONDS_AHEAD / seconds);
  return jobs > 1 ? Math.min(jobs, most) : 1; // NaN, too
}

/** The worker with the most room; undefined if none has any. */
export function roomiest(
  work: Work,
  workers: ReadonlySet<PoolWorker>,
  ahead: number,
  maxWorkers: number,
): PoolWorker | undefined {
  let found: PoolWorker | undefined;
  let busy = 0;
  for (const worker of workers) {
    if (worker.works.size > 0) busy++;
    if (!worker.hasRoom(ahead)) continue;
    if (found === undefined || worker.works.size < found.works.size) found = worker;
  }
  if (found === undefined) return undefined;
  const isFree = found.works.size === 0;
  if (work.fn.settings.transfer.length > 0 && !isFree) return undefined; // it could not be taken back
  return isFree && busy >= maxWorkers ? undefined : found;
}
