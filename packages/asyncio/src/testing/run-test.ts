/** One test in virtual time, looked over when it has ended. */

import {
  argumentError,
  checkCoroutine,
  checkCount,
  checkOptions,
  checkSeconds,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { BUBBLE, type BubbleOptions } from "./bubble.ts";
import type { Mode } from "./schedule.ts";
import { drawn, fifo } from "./strategies.ts";
import type { TestContext } from "./test-context.ts";
import { Trial } from "./trial.ts";
import type { TestBody, TrialSettings } from "./trial-settings.ts";
import { Watchdog } from "./watchdog.ts";

/** What each test under the library's own loop takes. */
export interface TestOptions {
  /**
   * Whether the clock jumps when every task is blocked. If false, only `t.advance` moves it.
   * @default true
   */
  readonly autojump?: boolean | undefined;
  /**
   * Makes the host's own timers and clocks virtual for the code inside, too (see BubbleOptions).
   * @default false
   */
  readonly bubble?: boolean | BubbleOptions | undefined;
  /**
   * What happens when the test waits for something outside of it without `cancellable`. With
   * `"hold"` the clock stands still until that has ended. With `"error"` the test fails. @default
   * "hold" in `runTest`, "error" where schedules are explored
   */
  readonly foreign?: "hold" | "error" | undefined;
  /** Real seconds after which the test fails, with a list of its tasks. @default 10 */
  readonly watchdog?: number | undefined;
  /** Steps after which the test fails: it is going round in circles. @default 100,000 */
  readonly maxSteps?: number | undefined;
  /** Seconds between a cancellation and its insisting repetition. @default 5 */
  readonly cancelGrace?: number | undefined;
}

export const TEST: Names<TestOptions> = {
  autojump: "boolean",
  bubble: 1,
  foreign: 1,
  watchdog: 1,
  maxSteps: 1,
  cancelGrace: 1,
};

/** What every kind of test can be given for state that is made anew for each run. */
export interface StateOptions<S> {
  /**
   * Makes the state that the body gets as its second argument. It is called at the start of each
   * run, in the loop of the run.
   */
  readonly setup?: (() => S) | undefined;
  /**
   * Is called when the body has ended, with or without an error, and has left nothing behind. It
   * throws if `state` is not as it must be.
   */
  readonly invariant?: ((state: S) => unknown) | undefined;
}

/** What `runTest` takes. */
export interface RunTestOptions extends TestOptions {
  /**
   * Draws the order in which ready steps run: one order for each seed. @default first in, first out
   */
  readonly seed?: number | undefined;
}

const KNOWN: Names<RunTestOptions> = { ...TEST, seed: 1 };
export const STATE: Names<StateOptions<unknown>> = { setup: 1, invariant: 1 };

/** The clock, the checks at the end, and the way out of what hangs. */
export function settingsOf<S>(
  api: string,
  body: TestBody<S>,
  options: TestOptions & StateOptions<S>,
  foreign: "hold" | "error",
): TrialSettings<S> {
  checkCoroutine(api, body);
  checkTest(api, options);
  const { watchdog = 10, maxSteps = 100_000, bubble = false, cancelGrace } = options;
  return {
    body,
    source: body,
    setup: options.setup,
    invariant: options.invariant,
    cancelGrace,
    autojump: options.autojump ?? true,
    bubble: bubble === true ? {} : bubble === false ? undefined : bubble,
    foreign: options.foreign ?? foreign,
    maxSteps,
    isVictim: undefined,
    mayReturn: false,
    watchdog: new Watchdog(watchdog),
    failedLate: [],
  };
}

/** Those of the other options that are looked at. */
type Checked = { readonly [K in keyof StateOptions<unknown>]?: unknown };

/** @throws TypeError or RangeError in the name of `api`. */
export function checkTest(api: string, options: TestOptions & Checked): void {
  const { watchdog = 10, maxSteps = 100_000, bubble = false, cancelGrace } = options;
  checkSeconds(api, "`watchdog` in seconds", watchdog);
  if (watchdog <= 0) throw rangeError(api, "`watchdog` above 0 (Infinity for none)", watchdog);
  if (cancelGrace !== undefined) checkSeconds(api, "`cancelGrace` in seconds", cancelGrace);
  checkCount(api, "`maxSteps`", maxSteps);
  if (options.foreign !== undefined && options.foreign !== "hold" && options.foreign !== "error")
    throw argumentError(api, '`foreign` to be "hold" or "error"', options.foreign);
  if (typeof bubble !== "boolean" && (typeof bubble !== "object" || bubble === null))
    throw argumentError(api, "`bubble` to be true, false or BubbleOptions", bubble);
  if (typeof bubble === "object") checkOptions(`\`bubble\` of ${api}`, bubble, BUBBLE);
  for (const name of ["setup", "invariant"] as const)
    if (options[name] !== undefined && typeof options[name] !== "function")
      throw argumentError(api, `\`${name}\` to be a function`, options[name]);
}

export const plainMode: Mode = { cancels: false, faults: false, deadlines: false };

/**
 * Runs `body` as a test on a loop of its own in virtual time, and gives what it returns. The clock
 * jumps when every task is blocked, so no sleep takes real time. Besides the errors of the body
 * itself, a test fails in these cases. Nothing can wake its tasks any more: a DeadlockError, at
 * once. It has not ended after `watchdog` real seconds: a TimeoutError. It has ended and left
 * something behind, such as a task, a timer, a wait, a lock, a permit or a connection: a LeakError.
 * A failure has reached no caller: an UnhandledError. Tasks have raced on a `cell` or a `tracked`
 * object: a RaceError. The messages list the tasks and what they wait for.
 *
 * Call it inside the tests of any framework. Source: Kotlin's runTest, Go's synctest, Trio's
 * MockClock.
 *
 * @example
 * await testing.runTest(async (t) => {
 *   const queue = new asyncio.Queue<string>();
 *   const getter = asyncio.createTask(() => queue.get());
 *   await t.advance(3600);
 *   assert.equal(getter.done(), false);
 *   queue.putNowait("item");
 *   assert.equal(await getter, "item");
 *   assert.equal(t.now, 3600);
 * });
 */
export async function runTest<R>(
  body: (t: TestContext) => R | PromiseLike<R>,
  options: RunTestOptions = {},
): Promise<R> {
  checkOptions("`runTest`", options, KNOWN);
  const { seed } = options;
  if (seed !== undefined && !Number.isSafeInteger(seed))
    throw rangeError("`runTest`", "`seed` to be an integer", seed);
  let result: { readonly value: R } | undefined;
  const keepResult: TestBody<undefined> = async (t) => {
    result = { value: await body(t) };
  };
  checkCoroutine("`runTest`", body);
  const withoutState = { ...options, setup: undefined, invariant: undefined };
  const settings = settingsOf<undefined>("`runTest`", keepResult, withoutState, "hold");
  const strategy = seed === undefined ? fifo : drawn("random", seed, 0);
  const trial = new Trial(settings, strategy, {
    mode: plainMode,
    keepsSites: true,
    givesTurn: true,
  });
  try {
    await trial.run();
  } finally {
    settings.watchdog.stop();
  }
  if (trial.failure !== undefined) throw trial.failure.error;
  return (result as { readonly value: R }).value; // the body has returned, else there were a failure
}
