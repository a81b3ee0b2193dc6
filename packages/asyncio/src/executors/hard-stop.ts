/**
 * What becomes of a job that was asked to end, and does not.
 *
 *     asked ──stopDelay──▶ interrupted (stop: "keep") ──▶ its worker goes on
 *                 │              └─ it cannot be ─┐
 *                 └───────────────────────────────┴──▶ its worker is ended ──5 s──▶ a report
 */

import { type HostTimer, realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import type { PoolWorker } from "./pool-worker.ts";
import type { Work } from "./work.ts";

/** Seconds that a worker has to go when it was ended by force. */
const END_SECONDS = 5;

/** What the pool does about it. */
export interface Stopping {
  /** False once it is being ended. */
  isUsed(worker: PoolWorker): boolean;
  stopping(worker: PoolWorker): void;
  kept(worker: PoolWorker, seq: number): void;
  resume(worker: PoolWorker): void;
  doomed(worker: PoolWorker): void;
  stopped(worker: PoolWorker): void;
}

/** Hosts whose threads go on when they were ended, although they say that they have exited. */
const host = "Deno" in globalThis ? "Deno" : process.versions.bun === undefined ? undefined : "Bun";
let isHostReported = false;

export class HardStop {
  readonly #loop: EventLoop;
  readonly #pool: string;

  constructor(loop: EventLoop, pool: string) {
    this.#loop = loop;
    this.#pool = pool;
  }

  /** The job was asked to end: stops it when its time is over. */
  arm(worker: PoolWorker, work: Work, seq: number, pool: Stopping): void {
    const { stop, stopDelay } = work.fn.settings;
    if (stop === "wait" || stopDelay === Number.POSITIVE_INFINITY) return;
    const timer: HostTimer = realHost.setTimer(realHost.now() + Math.max(stopDelay, 0), () => {
      void this.#stop(worker, work, seq, pool);
    });
    const own = work.ownRare();
    const tell = own.onStopped;
    own.onStopped = () => {
      timer.clear();
      tell?.();
    };
  }

  async #stop(worker: PoolWorker, work: Work, seq: number, pool: Stopping): Promise<void> {
    if (work.outcome !== undefined || !pool.isUsed(worker)) return;
    const isRunning = worker.works.first?.seq === seq;
    pool.stopping(worker);
    if (isRunning && work.fn.settings.stop === "keep") {
      const isCutOff = await worker.link.interrupt(seq);
      if (work.outcome !== undefined || !pool.isUsed(worker)) return pool.resume(worker);
      if (isCutOff) return pool.kept(worker, seq);
    }
    pool.doomed(worker);
    await this.end(worker);
    pool.stopped(worker);
  }

  /** Ends a worker by force, and says so where it does not go. */
  async end(worker: PoolWorker): Promise<void> {
    const wasBusy = worker.works.size > 0;
    const isGone = await worker.link.terminate(END_SECONDS);
    if (!isGone) {
      const message = `${worker.describe()} of ${this.#pool} has not ended ${END_SECONDS} s after it was told to, and is left behind: it is inside a call of the host that cannot be interrupted`;
      this.#loop.callExceptionHandler({ message });
    } else if (wasBusy && host !== undefined && worker.link.pid === undefined && !isHostReported) {
      isHostReported = true;
      const message = `${this.#pool} has ended a thread that was busy. On ${host} its code may go on all the same: use ProcessPoolExecutor for jobs that may have to be stopped`;
      this.#loop.callExceptionHandler({ message });
    }
  }
}
