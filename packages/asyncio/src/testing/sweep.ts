/**
 * Sweeps: the same test again and again, with something going wrong in another place each time. A
 * cancellation at each wait, a failure at each fault site, a deadline that passes at each wait
 * under it. The rest is first in, first out; with `schedules` also under other schedules.
 *
 * A sweep is a search: what is injected are deviations of the schedule, and every run says where
 * the next ones could be. So a failure is shrunk, replayed and shown as that of an exploration.
 */

import {
  argumentError,
  checkCount,
  checkOptions,
  checkSeconds,
  checkText,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { realHost } from "../kernel/host.ts";
import { here } from "../kernel/operation.ts";
import type { Task } from "../kernel/task.ts";
import { replayFor, replayOnly } from "./explore.ts";
import { failureOf } from "./report.ts";
import { STATE, type StateOptions, settingsOf, TEST, type TestOptions } from "./run-test.ts";
import type { Decision, DecisionKind, Deviation, Mode } from "./schedule.ts";
import { drawn, fifo, type Strategy } from "./strategies.ts";
import { Trial, trialOf } from "./trial.ts";
import type { TestBody, TrialSettings } from "./trial-settings.ts";

interface SweepOptions<S> extends TestOptions, StateOptions<S> {
  /** How many runs at most. @default 10,000 */
  readonly iterations?: number | undefined;
  /** Real seconds after which no other run is begun. @default 30 */
  readonly seconds?: number | undefined;
  /**
   * How many schedules every injection is tried under. The first is first in, first out. @default 1
   */
  readonly schedules?: number | undefined;
  /**
   * A string from a report. Only its schedule is run. @default ASYNCIO_REPLAY, where it belongs to
   * this body
   */
  readonly replay?: string | undefined;
}

const SWEEP: Names<SweepOptions<unknown>> = {
  ...TEST,
  ...STATE,
  iterations: 1,
  seconds: 1,
  schedules: 1,
  replay: "string",
};

/** What `cancelSweep` takes. */
export interface CancelSweepOptions<S> extends SweepOptions<S> {
  /**
   * Which cancellations are tried. `"body"` cancels the whole body, at each wait of any task in it.
   * `"tasks"` cancels each task but the body, at its own waits. A regular expression does so with
   * the tasks whose names it matches. @default "body"
   */
  readonly victims?: "body" | "tasks" | RegExp | undefined;
  /**
   * Whether the body may return a value although it was cancelled, as a server does that shuts
   * down. @default false
   */
  readonly mayReturn?: boolean | undefined;
  /**
   * The most cancellations in one run. A second one comes while the first is being cleaned up.
   * @default 2
   */
  readonly depth?: number | undefined;
}

/** What `faultSweep` takes. */
export interface FaultSweepOptions<S> extends SweepOptions<S> {
  /** How many failures there are in one run at most. @default 1 */
  readonly depth?: number | undefined;
}

const CANCELS: Names<CancelSweepOptions<unknown>> = {
  ...SWEEP,
  victims: 1,
  mayReturn: "boolean",
  depth: 1,
};
const FAULTS: Names<FaultSweepOptions<unknown>> = { ...SWEEP, depth: 1 };

/** What a sweep that found nothing has done. */
export interface Sweep {
  /** How many runs there were. */
  readonly runs: number;
  /** In how many different places something was injected. */
  readonly places: number;
  /** False if `iterations` or `seconds` ended it before everything was tried. */
  readonly complete: boolean;
  /** Real seconds. */
  readonly seconds: number;
}

/**
 * Runs `body` again and again, and cancels it in another place each time: during its first wait,
 * just after its first wait, during its second wait, and so on to its end. Further runs cancel it
 * once more while it cleans up. An operation that completes in its call counts as a wait that has
 * ended, because in production it now and then lets others go first. After each run nothing may be
 * left, as in `runTest`. The body must have ended with a CancelledError: it must not have failed
 * otherwise, or gone on as if nothing had happened. And `invariant` must hold. Throws a
 * ScheduleError as `explore` does.
 *
 * @example
 * await testing.cancelSweep(
 *   async (_t, { lock }) => {
 *     using _guard = await lock.acquire();
 *     await asyncio.sleep(1);
 *   },
 *   {
 *     setup: () => ({ lock: new asyncio.Lock() }),
 *     invariant: ({ lock }) => assert.equal(lock.locked(), false),
 *   },
 * );
 */
export async function cancelSweep<S = undefined>(
  body: TestBody<S>,
  options: CancelSweepOptions<S> = {},
): Promise<Sweep> {
  const api = "`cancelSweep`";
  checkOptions(api, options, CANCELS);
  const { victims = "body", mayReturn = false, depth = 2 } = options;
  const isVictim = victimsOf(api, victims); // may throw: before there is a watchdog
  const settings: TrialSettings<S> = {
    ...settingsOf(api, body, options, "error"),
    isVictim,
    mayReturn,
  };
  const mode: Mode = { cancels: true, faults: false, deadlines: false };
  try {
    return await sweep(api, settings, mode, ["cancel", "interrupt"], depth, options);
  } finally {
    settings.watchdog.stop();
  }
}

/**
 * Runs `body` again and again, with another failure each time. Every call of every `fault` fails
 * once. Every deadline (of `timeout`, `moveOnAfter`, `CancelScope`) passes once at each moment at
 * which a task begins to wait while the deadline runs, and at the end of each wait under it. After
 * each run nothing may be left. The body may have failed with the injected failure, with an error
 * that has it as its cause, or with a TimeoutError, and with nothing else. And `invariant` must
 * hold. Throws a ScheduleError as `explore` does.
 *
 * @example
 * const store = async (log: string[]) => {
 *   log.push("open");
 *   try {
 *     testing.fault("disk full");
 *     await asyncio.sleep(0.1);
 *   } finally {
 *     log.push("close");
 *   }
 * };
 * const sweep = await testing.faultSweep((_t, log) => store(log), {
 *   setup: () => [] as string[],
 *   invariant: (log) => assert.deepEqual(log, ["open", "close"]),
 * });
 * assert.equal(sweep.places, 1);
 */
export async function faultSweep<S = undefined>(
  body: TestBody<S>,
  options: FaultSweepOptions<S> = {},
): Promise<Sweep> {
  const api = "`faultSweep`";
  checkOptions(api, options, FAULTS);
  const { depth = 1 } = options;
  const settings = settingsOf(api, body, options, "error");
  const mode: Mode = { cancels: false, faults: true, deadlines: true };
  try {
    return await sweep(api, settings, mode, ["fault", "expire", "interrupt"], depth, options);
  } finally {
    settings.watchdog.stop();
  }
}

/**
 * A place that may fail, with the name `site`. In `faultSweep`, and in `explore` with `faults:
 * true`, it throws an InjectedFault when its turn has come, or the error that `makeError` makes.
 * Everywhere else it does nothing. Put it into the fakes that stand for the world outside. Source:
 * FoundationDB's BUGGIFY.
 */
export function fault(site: string, makeError?: () => unknown): void {
  checkText("`fault`", "the name of a place", site);
  const failure = trialOf(here().loop)?.pickFault(site, makeError);
  if (failure !== undefined) throw failure.error;
}

function victimsOf(
  api: string,
  victims: "body" | "tasks" | RegExp,
): ((task: Task<unknown>) => boolean) | undefined {
  if (victims === "body") return undefined;
  if (victims === "tasks") return () => true;
  if (victims instanceof RegExp) return (task) => victims.test(task.getName());
  throw argumentError(api, '`victims` to be "body", "tasks" or a regular expression', victims);
}

/** Injects at given decisions, and takes the others as `base` does. */
class Injecting implements Strategy {
  readonly #base: Strategy;
  readonly #kinds: readonly DecisionKind[];
  readonly #script: ReadonlyMap<number, number>;
  /** The decisions of these kinds that the run has met. */
  readonly places: DecisionKind[] = [];

  constructor(base: Strategy, kinds: readonly DecisionKind[], script: readonly Deviation[]) {
    this.#base = base;
    this.#kinds = kinds;
    this.#script = new Map(script.map(({ position, option }) => [position, option]));
  }

  choose(decision: Decision): number {
    if (!this.#kinds.includes(decision.kind)) return this.#base.choose(decision);
    const place = this.places.length;
    this.places.push(decision.kind);
    return this.#script.get(place) ?? 0;
  }
}

async function sweep<S>(
  api: string,
  settings: TrialSettings<S>,
  mode: Mode,
  kinds: readonly DecisionKind[],
  depth: number,
  options: SweepOptions<S>,
): Promise<Sweep> {
  const { iterations = 10_000, seconds = 30, schedules = 1 } = options;
  checkCount(api, "`iterations`", iterations);
  checkCount(api, "`schedules`", schedules);
  checkCount(api, "`depth`", depth);
  checkSeconds(api, "`seconds`", seconds);
  const replay = replayFor(api, settings.body, mode, options.replay);
  const startedAt = realHost.now();
  if (replay !== undefined) {
    await replayOnly(settings, replay);
    return { runs: 1, places: 0, complete: false, seconds: realHost.now() - startedAt };
  }
  let runs = 0;
  let places = 0;
  let complete = true;
  for (let schedule = 0; schedule < schedules && complete; schedule++) {
    // Scripts are about places of these kinds: the n-th chance to inject, whatever else is decided
    // before.
    const scripts: (readonly Deviation[])[] = [[]];
    for (let script = scripts.pop(); script !== undefined; script = scripts.pop()) {
      if (runs >= iterations || realHost.now() - startedAt > seconds) {
        complete = false;
        break;
      }
      const base = schedule === 0 ? fifo : drawn("random", schedule, 0);
      const strategy = new Injecting(base, kinds, script);
      // It takes a turn of the host to learn of promises that fail unawaited, and sweeps are not so
      // long.
      const trial = new Trial(settings, strategy, { mode, givesTurn: true });
      await trial.run();
      runs++;
      if (trial.failure !== undefined) {
        const found = { strategy: "the sweep", schedule: runs };
        throw await failureOf(settings, trial, found);
      }
      if (script.length > 0) places++;
      if (script.length >= depth) continue;
      const first = (script.at(-1)?.position ?? -1) + 1;
      const next = strategy.places.map((kind, place) => ({ kind, place })).slice(first);
      // Last comes first. What happens during a wait is understood at a glance, the rest is for
      // afterwards.
      const isLate = (kind: DecisionKind) => kind === "interrupt";
      for (const late of [true, false])
        for (const { kind, place } of next.toReversed())
          if (isLate(kind) === late) scripts.push([...script, { position: place, option: 1 }]);
    }
  }
  return { runs, places, complete, seconds: realHost.now() - startedAt };
}
