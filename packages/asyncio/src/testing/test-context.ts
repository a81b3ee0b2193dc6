/** What the body of a test gets: control of the clock, and numbers that a schedule decides. */

import { checkSeconds, checkText, InvalidStateError, rangeError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type VirtualHost, virtualHostOf } from "./virtual-host.ts";

/** What a test can ask of the trial that runs it. */
export interface TrialControl extends VirtualHost {
  random(): number;
  pickOption(count: number): number;
  note(text: string, site: string): void;
}

/** The first argument of the body of `runTest`, `explore` and the sweeps. */
export class TestContext {
  readonly #trial: TrialControl;

  /** @internal */
  constructor(trial: TrialControl) {
    this.#trial = trial;
  }

  /** Seconds since the test began, on the virtual clock. */
  get now(): number {
    return this.#trial.now();
  }

  /**
   * Waits `seconds` of virtual time, and then until everything that is due by then has run. The
   * clock stops at each timer on the way, and moves on when the work of that timer has run. If the
   * call is cancelled, it stops waiting. With `autojump: false` time passes in no other way.
   * Rejects with an InvalidStateError when the test has ended. Source: Tokio's `advance` and
   * Effect's TestClock, made exact.
   */
  async advance(seconds: number): Promise<void> {
    checkSeconds("`t.advance`", "seconds", seconds);
    if (seconds < 0 || seconds === Number.POSITIVE_INFINITY)
      throw rangeError("`t.advance`", "a finite number of seconds, 0 or more", seconds);
    await untilQuiet(this.#trial, seconds, "advance");
  }

  /**
   * Waits until every other task is blocked, without time passing. Rejects with an
   * InvalidStateError when the test has ended. Source: Go's synctest.Wait, Trio's
   * wait_all_tasks_blocked.
   */
  settle(): Promise<void> {
    return untilQuiet(this.#trial, 0, "settle");
  }

  /**
   * A number from 0 up to 1. It is part of the schedule, so it is replayed, and becomes simple when
   * a failure is shrunk.
   */
  random(): number {
    return this.#trial.random();
  }

  /**
   * A whole number from 0 up to `count`, as the schedule of `explore` decides. It is 0 in the first
   * schedule, and outside of `explore`.
   */
  choose(count: number): number {
    if (!Number.isInteger(count) || count < 1)
      throw rangeError("`t.choose`", "a number of options, 1 or more", count);
    return this.#trial.pickOption(count);
  }

  /** Shows `text` in the table of the steps, should the test fail. */
  note(text: string): void {
    checkText("`t.note`", "a text", text);
    this.#trial.note(text, "");
  }
}

/**
 * Waits until every other task on the running loop is blocked, without time passing. By then
 * everything that was started has come as far as it can. Several tasks may wait for this at once.
 * It needs a loop in virtual time (`runTest`, `explore`, VirtualLoop), and rejects with an
 * InvalidStateError elsewhere. Source: Trio's wait_all_tasks_blocked, without its cushion of real
 * time.
 *
 * @example
 * await testing.runTest(async () => {
 *   const event = new asyncio.Event();
 *   const log: string[] = [];
 *   const task = asyncio.createTask(async () => {
 *     log.push("waits");
 *     await event.wait();
 *   });
 *   await testing.waitAllTasksBlocked();
 *   assert.deepEqual(log, ["waits"]);
 *   event.set();
 *   await task;
 * });
 */
export async function waitAllTasksBlocked(): Promise<void> {
  const host = virtualHostOf(here().loop);
  if (host === undefined)
    throw new InvalidStateError(
      "`waitAllTasksBlocked` needs a loop in virtual time, where nothing outside can wake a task. Call it in `runTest`",
    );
  await untilQuiet(host, 0, "waitAllTasksBlocked");
}

async function untilQuiet(host: VirtualHost, seconds: number, subject: string): Promise<void> {
  if (host.loop.isClosed())
    throw new InvalidStateError(
      `\`${subject}\` was called after its test has ended. Await what calls it before the body returns`,
    );
  const scope = here();
  const stop = scope.interruption(subject);
  if (stop !== undefined) return await stop;
  const wait = park<void>(scope, subject);
  host.settle(wait, host.now() + seconds);
  await wait.promise;
}
