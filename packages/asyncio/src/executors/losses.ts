/** Workers that a pool loses one after the other: a few are accidents, more are a storm. */

import { headline } from "../errors/render.ts";
import { realHost } from "../kernel/host.ts";
import type { WorkerEnd } from "./errors.ts";

/** So many in so many seconds, without a job done in between, make a pool useless. */
const MOST = 5;
const SECONDS = 60;

export class Losses {
  readonly #times: number[] = [];

  /** A job was done. */
  clear(): void {
    this.#times.length = 0;
  }

  /** Counts one; gives what is to be said of the pool if there were too many. */
  add({ cause, exitCode, signal }: WorkerEnd): string | undefined {
    const now = realHost.now();
    this.#times.push(now);
    while ((this.#times[0] ?? now) < now - SECONDS) this.#times.shift();
    if (this.#times.length < MOST) return undefined;
    const how = cause === undefined ? (signal ?? `exit code ${exitCode}`) : headline(cause);
    return `has lost ${MOST} workers one after the other, the last by ${how}`;
  }
}
