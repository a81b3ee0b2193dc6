/**
 * Supervision: children that are to run for as long as the program does, and are started again when
 * they end. They begin in the order of the list, each when the one before it is ready, and are
 * stopped the other way round. More failures than allowed in a time are not cured by trying again:
 * then all are stopped, and the failure goes to whoever has called `supervise`.
 *
 * Each child has a keeper, a task that starts it and decides what comes after it. The supervisor is
 * the code of the caller. It alone stops keepers, one after the other, so they belong to nobody
 * else. Source: OTP's supervisor, one_for_one.
 */

import {
  argumentError,
  CancelledError,
  InvalidStateError,
  TimeoutError,
} from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import { formatSeconds } from "../structures/timers.ts";
import { describeSync } from "../sync/lock.ts";
import { setDeadline } from "../tasks/deadlines.ts";
import { ExceptionGroup } from "../tasks/exception-group.ts";
import { checkIterable } from "../tasks/iterables.ts";
import { sleep } from "../tasks/sleep.ts";
import { CancelScope, type SignalOption, underSignal } from "../tasks/timeouts.ts";
import { wait } from "../tasks/wait.ts";
import { heed } from "./reports.ts";
import { courseOf, type Delay, type Delays, delayOf, exponential } from "./schedule.ts";
import { anything, callback, countOr0, needed, oneOf, seconds, settle, work } from "./settings.ts";

/** One child of `supervise`. */
export interface ChildSpec {
  /** What reports and errors call it. */
  readonly name: string;
  /**
   * What it does, begun anew for each start. It calls `started` when it is ready, and then the next
   * child begins. One without a parameter is ready at once.
   */
  readonly run: (started: () => void) => unknown;
  /**
   * When it is started again: always, after a failure, or never. A cancellation of it is no
   * failure. @default "permanent"
   */
  readonly restart?: "permanent" | "transient" | "temporary" | undefined;
  /** Seconds that the child has to become ready; then it has failed. @default Infinity */
  readonly startDelay?: number | undefined;
  /** Seconds that it has to end when it is stopped; then it is left behind. @default 5 */
  readonly stopDelay?: number | undefined;
  /**
   * How long it takes until the child is started again: a delay for each end in a row. They begin
   * anew once it has run for `period` seconds. @default exponential(0.1).capped(10).jittered(0.5)
   */
  readonly delays?: Delays | undefined;
}

/** What `supervise` takes. */
export interface SuperviseOptions extends SignalOption {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
  /** How many restarts of all children it allows within `period` seconds. @default 3 */
  readonly intensity?: number | undefined;
  /** The seconds that `intensity` is for. @default 10 */
  readonly period?: number | undefined;
  /** Called once, when all children are ready. */
  readonly onReady?: (() => void) | undefined;
  /**
   * Called before each restart, with the failure, or undefined if the child has returned. What it
   * throws ends the supervision, what its promise rejects with is reported. @default failures are
   * reported to the exception handler
   */
  readonly onRestart?: ((child: string, error: unknown) => void) | undefined;
}

const OPTIONS = {
  name: "string",
  intensity: [countOr0, 3],
  period: [seconds, 10],
  onReady: callback,
  onRestart: callback,
  signal: "AbortSignal",
} as const;
const CHILD = {
  name: "string",
  run: needed(work),
  restart: [oneOf("permanent", "transient", "temporary"), "permanent"],
  startDelay: [seconds, Number.POSITIVE_INFINITY],
  stopDelay: [seconds, 5],
  delays: [anything, exponential(0.1).capped(10).jittered(0.5)],
} as const;
const api = "`supervise`";

/**
 * Runs children, and starts each of them again when it ends, after a delay. They begin in order,
 * each when the one before it is ready. Waits until all have ended for good. With more restarts
 * than `intensity` within `period` seconds it gives up: stops all, the last first, and rejects with
 * an ExceptionGroup. Cancelled, it stops them in the same order, each with `stopDelay` seconds, and
 * rejects with the CancelledError. One that does not end in time is left behind with a report.
 *
 * The clock is that of the loop. `onReady` fits the `started` of `group.start`, and of a child that
 * is a supervisor itself.
 *
 * @example
 * let attempts = 0;
 * const feed = async () => {
 *   if (++attempts < 3) throw new Error("connection lost");
 * };
 * const delays = patterns.spaced(0.001);
 * const onRestart = () => {};
 * const child = { name: "feed", run: feed, restart: "transient", delays } as const;
 * await patterns.supervise([child], { onRestart });
 * assert.equal(attempts, 3);
 */
export async function supervise(
  children: readonly ChildSpec[],
  options?: SuperviseOptions,
): Promise<void> {
  const settings = settle(api, options, OPTIONS);
  const list = checkIterable(api, "an array of children", children).map(checkChild);
  const stop = here().interruption("supervise");
  if (stop !== undefined) await stop;
  await underSignal(api, settings.signal, () => new Supervision(list, settings).run());
}

/** A child, with all that may be left out, and what has become of it. */
interface Child extends Pick<ChildSpec, "name" | "run"> {
  readonly startDelay: number;
  readonly stopDelay: number;
  readonly restart: "permanent" | "transient" | "temporary";
  readonly delay: Delay;
  keeper: Task<void> | undefined;
  isReady: boolean;
}

function checkChild(spec: ChildSpec): Child {
  if (typeof spec?.name !== "string") throw argumentError(api, "children with a `name`", spec);
  const settings = settle<ChildSpec, typeof CHILD>(api, spec, CHILD);
  return { ...settings, delay: delayOf(api, settings.delays), keeper: undefined, isReady: false };
}

type Settings = SuperviseOptions & { readonly intensity: number; readonly period: number };

/** How a run of a child has ended: it has returned, or failed with `error`. */
interface End {
  readonly error?: unknown;
}

class Supervision {
  readonly #children: readonly Child[];
  readonly #settings: Settings;
  readonly #label: string;
  readonly #loop = here().loop;
  /** When children were started again, in the last `period` seconds. */
  readonly #restarts: number[] = [];
  /** Why it gives up; and what fails while the children are stopped. */
  readonly #failures: unknown[] = [];
  #verdict: string | undefined = undefined;
  #isStopping = false;
  #isOver = false;
  /** The caller, until something has changed. */
  readonly #line: WaitList = new WaitList();

  constructor(children: readonly Child[], settings: Settings) {
    this.#children = children;
    this.#settings = settings;
    this.#label = describeSync("supervisor", settings.name);
  }

  async run(): Promise<void> {
    const children = this.#children;
    let failure: { readonly error: unknown } | undefined;
    try {
      for (const child of children) {
        if (this.#verdict === undefined) this.#start(child);
        await this.#until(() => child.isReady || child.keeper?.done() === true);
      }
      if (this.#verdict === undefined) heed("`onReady`", this.#settings.onReady?.());
      await this.#until(() => children.every(({ keeper }) => keeper?.done()));
    } catch (error) {
      failure = { error };
    }
    this.#isStopping = true;
    await new CancelScope({ shield: true }).run(() => this.#stop());
    this.#isOver = true;
    const [verdict, failures] = [this.#verdict, this.#failures];
    const gaveUp = verdict === undefined ? undefined : new ExceptionGroup(verdict, failures);
    if (failure === undefined && gaveUp !== undefined) throw gaveUp;
    if (gaveUp !== undefined) this.#report("it was stopped when it gave up", gaveUp);
    if (failure !== undefined) throw failure.error;
  }

  /** Waits until that is so, or it gives up. */
  async #until(isSo: () => boolean): Promise<void> {
    const subject = {
      describeWait: () => `the children of ${this.#label}`,
      waitsOn: () => this.#children.flatMap(({ keeper }) => (keeper?.done() ? [] : (keeper ?? []))),
    };
    const scope = here();
    while (this.#verdict === undefined && !isSo()) {
      // <- a child has rung, and the caller was cancelled in the same step
      const stop = scope.interruption(subject);
      if (stop !== undefined) await stop;
      const bell = park<void>(scope, subject);
      this.#line.add(bell);
      await bell.promise;
    }
  }

  #changed = (): void => this.#line.resumeAll(undefined);

  #start(child: Child): void {
    const keep = (): Promise<void> => this.#keep(child);
    const keeper = new Task(this.#loop, keep, { name: `keeper of ${child.name}` });
    child.keeper = keeper;
    keeper.listen({
      futureDone: () => {
        keeper.observe();
        if (keeper.state === "rejected")
          this.#giveUp(child, "cannot be started again", keeper.failure);
        this.#changed();
      },
    });
  }

  async #keep(child: Child): Promise<void> {
    let course = courseOf(api, child.delay);
    for (;;) {
      const begun = this.#loop.time();
      const end = await this.#runOnce(child);
      if (this.#isStopping || end === undefined) return;
      const hasFailed = "error" in end;
      if (child.restart === "temporary" || (child.restart === "transient" && !hasFailed)) {
        if (hasFailed) this.#report(`${describe(child)} has failed`, end.error);
        return;
      }
      const { intensity, period, onRestart } = this.#settings;
      if (this.#loop.time() - begun >= period) course = courseOf(api, child.delay);
      const seconds = course(end.error)?.delay;
      const error = hasFailed
        ? end.error
        : new InvalidStateError(`${describe(child)} has returned`);
      if (seconds === undefined) return this.#giveUp(child, "is not to be started again", error);
      const now = this.#loop.time();
      while (now - (this.#restarts[0] ?? now) > period) this.#restarts.shift();
      const limit = `${intensity} restarts within ${formatSeconds(period)}`;
      if (this.#restarts.push(now) > intensity)
        return this.#giveUp(child, `has ended after ${limit}`, error);
      if (onRestart !== undefined) heed("`onRestart`", onRestart(child.name, end.error));
      else if (hasFailed)
        this.#report(`${describe(child)} has failed, and is started again`, error);
      await sleep(seconds);
    }
  }

  /** Undefined if it was the keeper that was cancelled. */
  async #runOnce(child: Child): Promise<End | undefined> {
    const scope = here();
    const started = (): void => {
      child.isReady = true;
      setDeadline(task.scope, Number.POSITIVE_INFINITY);
      this.#changed();
    };
    const task = new Task(this.#loop, () => child.run(started), { name: child.name });
    if (child.run.length === 0) started();
    else setDeadline(task.scope, this.#loop.time() + child.startDelay);
    try {
      await task;
      return {};
    } catch (error) {
      if (!(error instanceof CancelledError)) {
        if (this.#isStopping) this.#failedLate(child, error);
        return { error };
      }
      if (scope.owns(error)) return undefined;
      if (!task.scope.cancelState.expired) return {};
      const message = `${describe(child)} was not ready after ${formatSeconds(child.startDelay)}`;
      return { error: new TimeoutError(message, { cause: error }) };
    }
  }

  #failedLate(child: Child, error: unknown): void {
    if (this.#verdict !== undefined && !this.#isOver) this.#failures.push(error);
    else this.#report(`${describe(child)} has failed when it was stopped`, error);
  }

  #giveUp(child: Child, why: string, error: unknown): void {
    if (this.#verdict !== undefined) this.#failedLate(child, error);
    else {
      this.#verdict = `${this.#label} gives up: ${describe(child)} ${why}`;
      this.#failures.push(error);
      this.#changed();
    }
  }

  /** The last first, each when the one after it has ended. */
  async #stop(): Promise<void> {
    for (const child of [...this.#children].reverse()) {
      const { keeper, stopDelay } = child;
      if (keeper === undefined || keeper.done()) continue;
      keeper.cancel(`${this.#label} is stopping`);
      await wait([keeper], { delay: stopDelay });
      if (keeper.done()) continue;
      const late = `has not ended ${formatSeconds(stopDelay)} after it was stopped, and is left behind`;
      this.#report(`${describe(child)} ${late}`);
    }
  }

  #report(what: string, exception?: unknown): void {
    const message = `${this.#label}: ${what}`;
    this.#loop.callExceptionHandler({ message, exception });
  }
}

function describe({ name }: Child): string {
  return `child ${JSON.stringify(name)}`;
}
