/**
 * What the operator is told of requests that have failed by a fault of the service. Where one part
 * of it is broken, such as the parsers, each request fails in the same way: the first is told at
 * once, and those that follow within a second are one line with their number.
 */

import { getRunningLoop } from "asyncio-ts";

/** Seconds for which those that are alike are counted. */
const ALIKE_FOR = 1;

/** Failures, told as they come and never faster than their reader. */
export class FailureReports implements Disposable {
  readonly #say: (line: string) => void;
  /** Kinds that were told lately, and how many of each came since. */
  readonly #since: Map<string, { more: number; last: string; timer: { cancel(): void } }> =
    new Map();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  /** Tells of one. @param kind - what those that are alike share @param id - of the request */
  add(kind: string, id: string): void {
    const known = this.#since.get(kind);
    if (known === undefined) {
      this.#say(`request ${id} has failed: ${kind}`);
      const timer = getRunningLoop().callLater(ALIKE_FOR, () => this.#tell(kind));
      this.#since.set(kind, { more: 0, last: id, timer });
      return;
    }
    known.more++;
    known.last = id;
  }

  /** Tells what was counted and not told yet. */
  [Symbol.dispose](): void {
    for (const kind of [...this.#since.keys()]) this.#tell(kind);
  }

  #tell(kind: string): void {
    const known = this.#since.get(kind);
    if (known === undefined) return;
    this.#since.delete(kind);
    known.timer.cancel();
    const { more, last } = known;
    if (more === 1) this.#say(`request ${last} has failed: ${kind}`);
    else if (more > 1)
      this.#say(`${more} more requests have failed like that, up to ${last}: ${kind}`);
  }
}
