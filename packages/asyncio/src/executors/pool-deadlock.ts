/**
 * Jobs that wait for jobs of their own pool, by way of callbacks. When each worker has one of them,
 * nobody can take the jobs that they wait for.
 */

import { DeadlockError } from "../tasks/deadlock.ts";
import type { PoolWorker } from "./pool-worker.ts";
import type { Work } from "./work.ts";

/** The error for `work`, if it closes the circle; undefined if somebody can still take it. */
export function deadlockAmong(
  work: Work,
  maxWorkers: number,
  workers: ReadonlySet<PoolWorker>,
): DeadlockError<Work> | undefined {
  const caller = work.rare.calledFor;
  if (caller === undefined) return undefined;
  caller.ownRare().blockedBy = work;
  const running: Work[] = [];
  for (const worker of workers) {
    const { first } = worker.works;
    if (first !== undefined) running.push(first);
  }
  if (running.length < maxWorkers) return undefined;
  const isStuck = running.every(
    ({ rare: { blockedBy } }) =>
      blockedBy !== undefined && blockedBy.state !== "over" && blockedBy.state !== "sent",
  );
  if (!isStuck) return undefined;
  caller.ownRare().blockedBy = undefined;
  const stuck = [...running, work];
  return new DeadlockError(
    stuck,
    stuck.map((one) =>
      one.rare.blockedBy === undefined && one !== caller
        ? `${one.describe()} waits for a worker, and all are taken`
        : `${one.describe()} has a worker, and waits in a callback for ${(one.rare.blockedBy ?? work).describe()}`,
    ),
  );
}
