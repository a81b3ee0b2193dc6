/** An order that a test lays down for its tasks. */

import { checkCoroutine, InvalidStateError, rangeError } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";

/**
 * Makes parts of several tasks run in a given order: `run(position, body)` waits until the bodies
 * of all positions before it have ended. If one fails or is cancelled, the order is broken, and
 * those that wait for their turn reject with an InvalidStateError. Each position is taken once.
 * Source: Trio's Sequencer.
 *
 * @example
 * const sequencer = new testing.Sequencer();
 * const log: string[] = [];
 * await asyncio.gather(
 *   () => sequencer.run(1, async () => log.push("second")),
 *   () => sequencer.run(0, async () => log.push("first")),
 * );
 * assert.deepEqual(log, ["first", "second"]);
 */
export class Sequencer {
  readonly #waiting: Map<number, WaitList> = new Map();
  readonly #taken: Set<number> = new Set();
  /** Every position below has ended. */
  #next = 0;
  /** Why no task gets a turn any more. */
  #broken: string | undefined = undefined;

  /**
   * Waits for the turn of `position` (0, 1, 2 ...), and runs `body`. The next position has its turn
   * when the body has ended. Rejects with a RangeError for a number that is no position, and with
   * an InvalidStateError for a position that was taken.
   */
  async run<T>(position: number, body: Coroutine<T>): Promise<T> {
    checkCoroutine("`sequencer.run`", body);
    if (!Number.isInteger(position) || position < 0)
      throw rangeError("`sequencer.run`", "a position: 0, 1, 2 and so on", position);
    if (this.#taken.has(position))
      throw new InvalidStateError(
        `\`sequencer.run\` was called for position ${position} a second time. Each position is taken once`,
      );
    this.#taken.add(position);
    try {
      await this.#turn(position);
    } catch (error) {
      this.#break(`position ${position} did not wait for its turn`);
      throw error;
    }
    try {
      const value = await body();
      this.#ended();
      return value;
    } catch (error) {
      this.#break(`the body of position ${position} has failed`);
      throw error;
    }
  }

  #turn(position: number): Promise<void> {
    const subject = `position ${position} of a Sequencer`;
    const scope = here();
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    if (this.#broken !== undefined) return Promise.reject(this.#brokenError());
    if (position === this.#next) return completed(scope, subject, undefined);
    const wait = park<void>(scope, subject);
    const line = new WaitList();
    line.add(wait);
    this.#waiting.set(position, line);
    return wait.promise;
  }

  #ended(): void {
    if (this.#broken !== undefined) return;
    this.#next++;
    this.#waiting.get(this.#next)?.resumeFirst(undefined);
    this.#waiting.delete(this.#next);
  }

  #break(why: string): void {
    this.#broken ??= why;
    for (const line of this.#waiting.values()) line.failAll(() => this.#brokenError());
    this.#waiting.clear();
  }

  #brokenError(): InvalidStateError {
    return new InvalidStateError(`the order of the Sequencer is broken: ${this.#broken}`);
  }
}
