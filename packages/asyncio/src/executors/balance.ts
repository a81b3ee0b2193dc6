/**
 * Jobs that lie behind a long one: they are taken back as soon as another worker has nothing to do,
 * and nobody waits for a worker.
 */

import { realHost } from "../kernel/host.ts";
import type { Line } from "./line.ts";
import type { PoolWorker } from "./pool-worker.ts";

/** Seconds after which jobs behind one that runs are given to a worker that has nothing to do. */
const PATIENCE = 0.001;

export class Balance {
  readonly #queue: Line;
  readonly #workers: ReadonlySet<PoolWorker>;
  #isLookDue = false;

  constructor(queue: Line, workers: ReadonlySet<PoolWorker>) {
    this.#queue = queue;
    this.#workers = workers;
  }

  /** Looks whether there are any, and again when a job of now will be a long one. */
  look(now: number): void {
    if (this.#queue.size > 0) return;
    let isOneFree = false;
    let isOneCrowded = false;
    for (const { state, works } of this.#workers) {
      if (state === "ready" && works.size === 0) isOneFree = true;
      if (works.size > 1 && state !== "ending") isOneCrowded = true;
    }
    if (!isOneCrowded || !isOneFree) return;
    for (const worker of this.#workers)
      if (worker.works.size > 1 && now - worker.turnedAt > PATIENCE) worker.takeBack();
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    realHost.setTimer(now + PATIENCE, () => {
      this.#isLookDue = false;
      const later = realHost.now();
      for (const worker of this.#workers) worker.look(later);
      this.look(later);
    });
  }
}
