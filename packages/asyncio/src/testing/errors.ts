/** What tests fail with. Each class owns its wording; the call site passes the variable parts. */

import { register } from "../errors/errors.ts";

/**
 * The test has ended, and something of it is left: a task, a timer, a wait, a lock, a connection.
 */
export class LeakError extends Error {
  readonly code = "ERR_ASYNCIO_LEAK";
  /** What is left, each in words. */
  readonly leftovers: readonly string[];

  constructor(leftovers: readonly string[]) {
    const what =
      leftovers.length === 1 ? "something is left" : `${leftovers.length} things are left`;
    super(`the test has ended, and ${what}:\n${lines(leftovers)}`);
    this.leftovers = leftovers;
  }
}
register(LeakError, "LeakError");

/** Tasks overwrote each other's changes of shared state, or saw half of one. */
export class RaceError extends Error {
  readonly code = "ERR_ASYNCIO_RACE";
  /** Each race, in words. */
  readonly races: readonly string[];

  constructor(races: readonly string[]) {
    super(races.join("\n"));
    this.races = races;
  }
}
register(RaceError, "RaceError");

/**
 * Failures during the test that reached no caller: of callbacks, of tasks without an `await`, of
 * branches cut off.
 */
export class UnhandledError extends AggregateError {
  readonly code = "ERR_ASYNCIO_UNHANDLED";

  constructor(messages: readonly string[], exceptions: readonly unknown[]) {
    super(exceptions, `the test has ended, but meanwhile:\n${lines(messages)}`);
  }
}
register(UnhandledError, "UnhandledError");

/**
 * The code under test depends on something that a schedule does not decide: it cannot be explored
 * or replayed.
 */
export class UncontrolledError extends Error {
  readonly code = "ERR_ASYNCIO_UNCONTROLLED";
}
register(UncontrolledError, "UncontrolledError");

/**
 * The test goes on and on: `maxSteps` steps have run, and it has not ended.
 *
 * @example
 * const endless = async () => {
 *   for (;;) await asyncio.sleep(0);
 * };
 * await assert.rejects(testing.runTest(endless, { maxSteps: 100 }), testing.LivelockError);
 */
export class LivelockError extends Error {
  readonly code = "ERR_ASYNCIO_LIVELOCK";

  constructor(steps: number, busy: readonly string[]) {
    super(
      `the test has not ended after ${steps} steps. Those that took the last ones: ${busy.join(", ")}. ` +
        "Let them wait for a change instead of asking for it, or raise `maxSteps`",
    );
  }
}
register(LivelockError, "LivelockError");

/** What `fault` throws where a fault is injected. */
export class InjectedFault extends Error {
  readonly code = "ERR_ASYNCIO_INJECTED_FAULT";
  /** The place that failed. */
  readonly site: string;

  constructor(site: string) {
    super(`injected at ${JSON.stringify(site)}`);
    this.site = site;
  }
}
register(InjectedFault, "InjectedFault");

/** The code under test has handled an injected cancellation, fault or deadline wrongly. */
export class SweepError extends Error {
  readonly code = "ERR_ASYNCIO_SWEEP";
}
register(SweepError, "SweepError");

/** A replay string is damaged, or does not fit the code under test any more. */
export class ReplayError extends Error {
  readonly code = "ERR_ASYNCIO_REPLAY";
}
register(ReplayError, "ReplayError");

/** What a ScheduleError tells. */
export interface ScheduleDetails {
  /**
   * The pasteable string: `explore(body, { replay })` or ASYNCIO_REPLAY runs this very schedule
   * again.
   */
  readonly replay: string;
  /** In how many places the schedule differs from first in, first out. */
  readonly deviations: number;
  /** What drew the schedule before it was made smaller. */
  readonly strategy: string;
  /** Which schedule it was, from 1 on. */
  readonly schedule: number;
  /** The table of the steps. */
  readonly table: string;
}

/** A schedule under which the test fails. `cause` is the failure itself. */
export class ScheduleError extends Error implements ScheduleDetails {
  readonly code = "ERR_ASYNCIO_SCHEDULE";
  /** The string that runs this schedule again. */
  readonly replay: string;
  /** In how many places it differs from first in, first out. */
  readonly deviations: number;
  /** The strategy that found it. */
  readonly strategy: string;
  /** Its number among those that were tried. */
  readonly schedule: number;
  // Not enumerable: it is in the message already.
  /** The steps of the schedule, as a table. */
  declare readonly table: string;

  constructor(details: ScheduleDetails, message: string, cause: unknown) {
    super(message, { cause });
    this.replay = details.replay;
    this.deviations = details.deviations;
    this.strategy = details.strategy;
    this.schedule = details.schedule;
    Object.defineProperty(this, "table", { value: details.table });
  }
}
register(ScheduleError, "ScheduleError");

function lines(texts: readonly string[]): string {
  return texts.map((text) => `  ${text.replaceAll("\n", "\n  ")}`).join("\n");
}
