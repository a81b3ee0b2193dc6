/**
 * Exploring: the same test under many schedules, until one fails.
 *
 * The first schedule is first in, first out. It is run twice. If the two runs differ, something is
 * at work that no schedule decides, and exploring makes no sense. Then strategies take turns. A
 * failure is made as small as possible and run once more with a log. It is thrown with a table of
 * its steps, and with a string that brings it back.
 */

import {
  argumentError,
  checkCount,
  checkOptions,
  checkSeconds,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { realHost } from "../kernel/host.ts";
import { environmentVariable } from "../ports/js-host.ts";
import { ReplayError, UncontrolledError } from "./errors.ts";
import { drawer } from "./random.ts";
import { turnOfHost } from "./rejections.ts";
import { type Found, failureOf, reportOf } from "./report.ts";
import {
  checkTest,
  plainMode,
  STATE,
  type StateOptions,
  settingsOf,
  TEST,
  type TestOptions,
} from "./run-test.ts";
import { bodyHashOf, type Deviation, type Mode, parseSchedule, type Schedule } from "./schedule.ts";
import {
  BoundedSearch,
  drawn,
  fifo,
  Scripted,
  type Strategy,
  type StrategyName,
} from "./strategies.ts";
import type { TestContext } from "./test-context.ts";
import { TraceLog } from "./trace.ts";
import { Trial } from "./trial.ts";
import type { TestBody, TrialSettings } from "./trial-settings.ts";

/** What `explore` takes. */
export interface ExploreOptions<S> extends TestOptions, StateOptions<S> {
  /** How many schedules at most. @default 1000 */
  readonly iterations?: number | undefined;
  /** Real seconds after which no other schedule is begun. @default 10 */
  readonly seconds?: number | undefined;
  /** Who draws the schedules: one strategy, or several in turn. @default all of them */
  readonly strategy?: StrategyName | readonly StrategyName[] | undefined;
  /** Draws the schedules: the same ones for the same seed. @default 0 */
  readonly seed?: number | undefined;
  /**
   * A string from a report. Only its schedule is run. @default ASYNCIO_REPLAY, where it belongs to
   * this body
   */
  readonly replay?: string | undefined;
  /** Whether to stop when the schedules bring nothing new any more. @default true */
  readonly untilSaturated?: boolean | undefined;
  /** In how many places the schedules of `dfs` differ from FIFO at most. @default 3 */
  readonly depth?: number | undefined;
  /** Whether `fault` sites may fail. @default false */
  readonly faults?: boolean | undefined;
}

type ExploredOptions = Omit<ExploreOptions<undefined>, "setup" | "invariant">;
const EXPLORED: Names<ExploredOptions> = {
  ...TEST,
  iterations: 1,
  seconds: 1,
  strategy: 1,
  seed: 1,
  replay: "string",
  untilSaturated: "boolean",
  depth: 1,
  faults: "boolean",
};
const KNOWN: Names<ExploreOptions<undefined>> = { ...EXPLORED, ...STATE };

/**
 * What an exploration has done that found no failure. It proves something about the schedules it
 * has run only.
 */
export interface Exploration {
  /** How many schedules have run. */
  readonly schedules: number;
  /** How many of them were different in the order of their steps. */
  readonly distinct: number;
  /** True if it stopped because nothing new came any more. */
  readonly saturated: boolean;
  /** Real seconds. */
  readonly seconds: number;
  /** How many schedules each strategy drew. */
  readonly strategies: Readonly<Partial<Record<StrategyName, number>>>;
}

/** The strategies in turn: no single one finds every bug soonest. */
const PORTFOLIO: readonly StrategyName[] = [
  "dfs",
  "pct",
  "random",
  "dfs",
  "partial-order",
  "pct",
  "random",
  "dfs",
  "sticky",
  "pct",
];
const NAMES: ReadonlySet<string> = new Set([...PORTFOLIO, "fifo"]);

/**
 * After so many schedules without a new trace, and at least as many as there are traces, no further
 * trace is expected.
 */
const SATURATION = 100;
/**
 * After so many schedules the first one is run again, to see whether it still takes the same steps.
 */
const SCHEDULES_A_CHECK = 50;
/** Real seconds after which the host gets its turn: timers and I/O of the test framework. */
const TURN_SECONDS = 0.02;

/**
 * Runs `body` under many schedules, to find one under which it fails. Each run is a test as
 * `runTest` does it, with the same checks at its end and on a fresh loop. So the body makes its own
 * state, or takes it from `setup`. A schedule decides which ready step comes next, whether an
 * operation that could complete lets others go first, where chunks end, and every `t.random()`. It
 * never breaks an order that the library promises, such as first come, first served.
 *
 * Throws a ScheduleError for the first schedule that fails. The schedule is shrunk to the fewest
 * places that differ from first in, first out, and the error shows a table of its steps. It also
 * has a string: given as `replay`, or in the environment variable ASYNCIO_REPLAY, it runs that
 * schedule again. Rejects with a ReplayError if the body has changed since then and the string does
 * not fit. Sources: Shuttle, Coyote, Loom, lincheck; shrinking as in Hypothesis.
 *
 * @example
 * const explored = testing.explore(async () => {
 *   let balance = 100;
 *   const withdraw = async (amount: number) => {
 *     if (balance < amount) return;
 *     await asyncio.sleep(0); // asks the bank
 *     balance -= amount;
 *   };
 *   await asyncio.gather(() => withdraw(80), () => withdraw(80));
 *   assert.ok(balance >= 0);
 * });
 * await assert.rejects(explored, testing.ScheduleError);
 */
export async function explore<S = undefined>(
  body: TestBody<S>,
  options: ExploreOptions<S> = {},
): Promise<Exploration> {
  checkOptions("`explore`", options, KNOWN);
  return await exploreAs("`explore`", body, body, options);
}

/**
 * Explores `body` under the name of `source`: the function whose text the replay strings belong to.
 */
async function exploreAs<S>(
  api: string,
  source: (...args: never[]) => unknown,
  body: TestBody<S>,
  options: ExploreOptions<S>,
): Promise<Exploration> {
  const settings = { ...settingsOf(api, body, options, "error"), source };
  const mode = options.faults === true ? { ...plainMode, faults: true } : plainMode;
  try {
    const replay = replayFor(api, source, mode, options.replay);
    if (replay !== undefined) return await replayOnly(settings, replay);
    return await new Explorer(api, settings, mode, options).explore();
  } finally {
    settings.watchdog.stop();
  }
}

/**
 * Gives a function that explores `body` with the arguments of each call. It is for properties over
 * data and schedules, as the predicate of fast-check's `asyncProperty`. Each call shrinks the
 * schedule of its failure, while fast-check shrinks the data.
 *
 * @example
 * const predicate = testing.explored(async (_t, items: string[]) => {
 *   const queue = new asyncio.Queue<string>();
 *   for (const item of items) queue.putNowait(item);
 *   const taken: string[] = [];
 *   await asyncio.gather(items.map(() => async () => taken.push(await queue.get())));
 *   assert.deepEqual(taken.sort(), items.sort());
 * });
 * // With fast-check: await fc.assert(fc.asyncProperty(fc.array(fc.string()), predicate));
 * await predicate(["a", "b"]);
 */
export function explored<A extends unknown[]>(
  body: (t: TestContext, ...data: A) => unknown,
  options: ExploredOptions = {},
): (...data: A) => Promise<void> {
  if (typeof body !== "function") throw argumentError("`explored`", "a function", body);
  checkOptions("`explored`", options, EXPLORED);
  checkTest("`explored`", options);
  checkedSearch("`explored`", options);
  return async (...data) => {
    await exploreAs<undefined>("`explored`", body, (t) => body(t, ...data), options);
  };
}

interface Search {
  readonly iterations: number;
  readonly seconds: number;
  readonly wheel: readonly StrategyName[];
  readonly seed: number;
  readonly depth: number;
}

/** @throws TypeError or RangeError in the name of `api`. */
function checkedSearch(api: string, options: ExploredOptions): Search {
  const { iterations = 1000, seconds = 10, strategy = PORTFOLIO, seed = 0, depth = 3 } = options;
  checkCount(api, "`iterations`", iterations);
  checkCount(api, "`depth`", depth);
  checkSeconds(api, "`seconds`", seconds);
  if (!Number.isSafeInteger(seed)) throw rangeError(api, "`seed` to be an integer", seed);
  const wheel: readonly StrategyName[] = Array.isArray(strategy) ? [...strategy] : [strategy];
  const unknown = wheel.findIndex((name) => !NAMES.has(name));
  if (unknown !== -1 || wheel.length === 0) {
    const expected = `\`strategy\` to be among ${[...NAMES].join(", ")}`;
    throw argumentError(api, expected, unknown === -1 ? strategy : wheel[unknown]);
  }
  return { iterations, seconds, wheel, seed, depth };
}

class Explorer<S> {
  readonly #settings: TrialSettings<S>;
  readonly #mode: Mode;
  readonly #iterations: number;
  readonly #seconds: number;
  readonly #wheel: readonly StrategyName[];
  readonly #untilSaturated: boolean;
  readonly #seed: number;
  readonly #search: BoundedSearch;
  readonly #seen: Set<number> = new Set();
  readonly #counts: Partial<Record<StrategyName, number>> = {};
  #schedules = 0;
  #first: Trial<S> | undefined = undefined;
  /** Schedules since the last one with a new trace. */
  #sinceNew = 0;
  /** How many decisions the longest run so far had. */
  #length = 0;

  constructor(api: string, settings: TrialSettings<S>, mode: Mode, options: ExploreOptions<S>) {
    const { iterations, seconds, wheel, seed, depth } = checkedSearch(api, options);
    this.#wheel = wheel;
    this.#settings = settings;
    this.#mode = mode;
    this.#iterations = iterations;
    this.#seconds = seconds;
    this.#untilSaturated = options.untilSaturated ?? true;
    this.#seed = seed;
    this.#search = new BoundedSearch(depth, drawer(seed));
  }

  async explore(): Promise<Exploration> {
    const startedAt = realHost.now();
    let turnAt = startedAt;
    await this.#runFirstTwice();
    for (;;) {
      const now = realHost.now();
      if (this.#schedules >= this.#iterations || now - startedAt > this.#seconds) break;
      if (this.#isSaturated) break;
      if (now - turnAt > TURN_SECONDS) {
        await this.#letHostTell();
        turnAt = realHost.now();
      }
      if (!(await this.#runNext())) break;
      if (this.#schedules % SCHEDULES_A_CHECK === 0) await this.#runFirstAgain();
    }
    await this.#runFirstAgain();
    await this.#letHostTell();
    return {
      schedules: this.#schedules,
      distinct: this.#seen.size,
      saturated: this.#isSaturated,
      seconds: realHost.now() - startedAt,
      strategies: this.#counts,
    };
  }

  get #isSaturated(): boolean {
    return this.#untilSaturated && this.#sinceNew >= Math.max(SATURATION, this.#seen.size);
  }

  /** First in, first out; twice, to see whether anything but the schedule decides. */
  async #runFirstTwice(): Promise<void> {
    this.#first = await this.#run(fifo, "fifo", true);
    this.#search.ran([], this.#first.decider.counts);
    await this.#runFirstAgain();
  }

  /**
   * Runs the first schedule again, now and then. Something random may have come out the same the
   * second time by chance, and leftovers may take effect late.
   */
  async #runFirstAgain(): Promise<void> {
    if (this.#settings.foreign === "hold" && this.#schedules > 1) return; // what is outside may come at any time
    const again = new Trial(this.#settings, fifo, { mode: this.#mode, keepsTrace: true });
    await again.run();
    const difference = differenceOf(this.#first as Trial<S>, again); // there is one since the beginning
    if (difference !== undefined) throw new UncontrolledError(difference);
  }

  /** Runs another schedule; false if there is none. */
  async #runNext(): Promise<boolean> {
    for (let tries = 0; tries < this.#wheel.length; tries++) {
      const name = this.#wheel[(this.#schedules + tries) % this.#wheel.length] as StrategyName;
      if (name === "dfs") {
        const script = this.#search.next();
        if (script === undefined) continue; // all of it is done
        const before = this.#seen.size;
        const trial = await this.#run(new Scripted(script), name);
        this.#checkControl(script, trial);
        if (this.#seen.size > before) this.#search.ran(script, trial.decider.counts);
        return true;
      }
      const seed = (Math.imul(this.#seed, 0x9e3779b1) + this.#schedules) | 0;
      await this.#run(name === "fifo" ? fifo : drawn(name, seed, this.#length), name);
      return true;
    }
    return false;
  }

  /**
   * Two schedules are the same up to the decision where one departs from the other. If their runs
   * differ before that, something is at work that the schedule does not decide.
   */
  #checkControl(script: readonly Deviation[], trial: Trial<S>): void {
    if (this.#settings.foreign === "hold") return; // what is outside may come at any time
    const position = this.#search.misfit(script, trial.decider.counts);
    if (position === undefined) return;
    throw new UncontrolledError(
      `two runs of the same schedule have parted at decision ${position + 1}. ${uncontrolledCure}`,
    );
  }

  /** Lets the host have its turn, and tell of promises that have failed meanwhile. */
  async #letHostTell(): Promise<void> {
    await turnOfHost();
    const [trial] = this.#settings.failedLate as Trial<S>[]; // they are this test's
    if (trial === undefined) return;
    throw await failureOf(this.#settings, trial, trial.found as Found); // it has run here
  }

  async #run(strategy: Strategy, name: StrategyName, isFirst = false): Promise<Trial<S>> {
    const options = { mode: this.#mode, keepsTrace: isFirst, givesTurn: isFirst };
    const trial = new Trial(this.#settings, strategy, options);
    trial.found = { strategy: name, schedule: this.#schedules + 1 };
    await trial.run();
    this.#schedules++;
    this.#counts[name] = (this.#counts[name] ?? 0) + 1;
    this.#length = Math.max(this.#length, trial.decider.length);
    if (trial.failure !== undefined) {
      throw await failureOf(this.#settings, trial, trial.found);
    }
    const before = this.#seen.size;
    this.#seen.add(trial.decider.hash);
    this.#sinceNew = this.#seen.size > before ? 0 : this.#sinceNew + 1;
    return trial;
  }
}

/**
 * The only schedule to run: that of the option, or that of the environment if it belongs to this
 * body and this kind of search.
 */
export function replayFor(
  api: string,
  source: (...args: never[]) => unknown,
  mode: Mode,
  option: string | undefined,
): Schedule | undefined {
  const isOurs = (schedule: Schedule): boolean => searchOf(schedule.mode) === searchOf(mode);
  if (option !== undefined) {
    const schedule = parseSchedule(String(option));
    if (isOurs(schedule)) return schedule;
    throw new ReplayError(
      `${api} was given a replay string of ${searchOf(schedule.mode)}. Pass it to that, with the same body`,
    );
  }
  const text = environmentVariable("ASYNCIO_REPLAY");
  if (text === undefined || text === "") return undefined;
  const schedule = parseSchedule(text);
  return isOurs(schedule) && schedule.bodyHash === bodyHashOf(source) ? schedule : undefined;
}

/** Which function has made a schedule of this mode. */
function searchOf({ cancels, faults, deadlines }: Mode): string {
  if (cancels) return "`cancelSweep`";
  if (deadlines) return "`faultSweep`";
  return faults ? "`explore` with `faults: true`" : "`explore`";
}

/**
 * Runs one schedule; throws its failure as it was reported, or a ReplayError if it does not fit the
 * body any more.
 */
export async function replayOnly<S>(
  settings: TrialSettings<S>,
  schedule: Schedule,
): Promise<Exploration> {
  const startedAt = realHost.now();
  const { mode, deviations } = schedule;
  const script = new Scripted(deviations);
  const log = new TraceLog();
  const trial = new Trial(settings, script, { mode, log, givesTurn: true });
  await trial.run();
  const found = { strategy: "replay", schedule: 1 };
  if (trial.failure !== undefined) throw reportOf(settings, trial, log, found, script.misfit);
  if (script.misfit !== undefined)
    throw new ReplayError(
      `the schedule does not fit the code any more, and what it ran instead did not fail: ${script.misfit}. ` +
        "If the failure is mended, remove the replay string",
    );
  const seconds = realHost.now() - startedAt;
  return { schedules: 1, distinct: 1, saturated: false, seconds, strategies: {} };
}

const uncontrolledCure =
  "Something that the schedule does not decide is at work: state outside the body that is left from an earlier run (make it in the body, or in `setup`), " +
  "a clock or Math.random of the host (use `t.now` and `t.random()`, or the `bubble` option), or work outside";

/** In which step two runs of the same schedule part, in words; undefined if they do not. */
function differenceOf<S>(first: Trial<S>, second: Trial<S>): string | undefined {
  if (second.failure !== undefined)
    return `the same schedule has passed, and then failed with ${String(second.failure.error)}. ${uncontrolledCure}`;
  const [a = [], b = []] = [first.trace, second.trace];
  const step = a.findIndex((name, index) => b[index] !== name);
  if (step === -1 && a.length === b.length && first.decider.length === second.decider.length)
    return undefined;
  if (step === -1)
    return `the same schedule took ${a.length} steps and ${first.decider.length} decisions the first time, and ${b.length} and ${second.decider.length} a later time. ${uncontrolledCure}`;
  const now = b[step] === undefined ? "the end" : JSON.stringify(b[step]);
  return `step ${step + 1} of the same schedule was ${JSON.stringify(a[step])} the first time, and ${now} a later time. ${uncontrolledCure}`;
}
