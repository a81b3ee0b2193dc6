/**
 * Ends everything that a run has left behind. Its tasks are cancelled and awaited, again and again
 * until none is left (S175; S177 does it once). Then come branches that clean up, runs that were
 * called from it, processes and sockets. Failures that no code has seen are reported. What is alive
 * when the time is over is listed, and left behind.
 */

import { advice } from "../errors/errors.ts";
import { type Dependent, dependentsOf } from "../interop/dependents.ts";
import { drainRequests, forgetRequests } from "../interop/draining.ts";
import type { Host } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { reportUnobserved } from "../kernel/reports.ts";
import type { Task } from "../kernel/task.ts";
import { formatSeconds } from "../structures/timers.ts";
import { condense } from "../tasks/condense.ts";
import { cancelLeftover } from "../tasks/leftovers.ts";
import { reportLeftOpen } from "./left-open.ts";

/** Completions after which a loop looks at its budget: what it runs at least in one turn. */
const LEAST_IN_A_TURN = 64;

/** What was on a loop before a run, and is not the run's to end. */
export interface Foreign {
  readonly tasks: ReadonlySet<Task<unknown>>;
  readonly dependents: ReadonlySet<Dependent>;
}

/** Runs that were called from code on the loop, and have not ended. */
export interface InnerRun {
  /** Cancels its main. */
  cancel(): void;
  /** Called when it has ended, all of it. */
  whenEnded(tell: () => void): void;
}

export interface ShutdownOptions {
  readonly delay: number;
  readonly foreign: Foreign;
  /** True after a deadlock: nothing will ever end a foreign await. */
  readonly isDead: boolean;
  readonly innerRuns: () => InnerRun[];
}

/** What is on `loop` now. */
export function foreignOn(loop: EventLoop): Foreign {
  return { tasks: new Set(loop.tasks.toArray()), dependents: new Set(dependentsOf(loop)) };
}

/** Fulfilled in the next turn of the host. */
export function turnOf(host: Host): Promise<void> {
  return new Promise((resolve) => host.macrotask(resolve));
}

/**
 * Lets the callbacks run that are due, as asyncio's loop does in its last iteration; they may make
 * others ready without end.
 */
export async function runDueCallbacks(loop: EventLoop): Promise<void> {
  loop.timers.fireDue(loop.time());
  const turns = 2 + Math.ceil(loop.statistics().ready / LEAST_IN_A_TURN);
  loop.host.io?.(1); // these are turns of the same moment: virtual time holds still
  for (let turn = 0; turn < turns && !loop.isIdle; turn++) await turnOf(loop.host);
  loop.host.io?.(-1);
}

const ENDED = "when the watchdog of the loop ended the run";

export class Shutdown {
  readonly #loop: EventLoop;
  readonly #options: ShutdownOptions;
  /** When the time for what is left is over: it begins when the requests have been drained. */
  #deadline = 0;
  /** True once the watchdog has said that it takes too long. */
  #isTooLong = false;

  constructor(loop: EventLoop, options: ShutdownOptions) {
    this.#loop = loop;
    this.#options = options;
  }

  async run(): Promise<void> {
    const loop = this.#loop;
    // Nothing is cancelled before that: a request may need what the other tasks do. After a
    // deadlock it would wait in vain.
    const isOurs = (task: Task<unknown>): boolean => !this.#options.isDead && this.#isOurs(task);
    const drained = drainRequests(loop, isOurs);
    if (drained !== undefined) await drained;
    this.#deadline = loop.time() + this.#options.delay;
    await this.#tasksEnded();
    if (loop.hasCutBranches) await this.#cleanupsEnded();
    await this.#innerRunsEnded();
    await this.#dependentsEnded();
    forgetRequests(loop);
    reportUnobserved(loop);
  }

  /** Whether the run has to end it; what belongs to no task, is. */
  #isOurs(task: Task<unknown> | undefined): boolean {
    return task === undefined || !this.#options.foreign.tasks.has(task);
  }

  /**
   * Waits until each of `all` has ended: `watch` calls a function then. False if the time is over
   * before. In virtual time, which holds still while work outside goes on, the watchdog says so.
   */
  #ended<T>(all: readonly T[], watch: (one: T, end: () => void) => void): Promise<boolean> {
    const loop = this.#loop;
    return new Promise((resolve) => {
      let missing = all.length;
      const decide = (isInTime: boolean): void => {
        loop.cancelTimer(timer);
        stopListening();
        resolve(isInTime);
      };
      const timer = loop.addTimer(this.#deadline, { timerDue: () => decide(false) });
      const stopListening = loop.host.onDry((error) => {
        if (error === undefined) return;
        this.#isTooLong = true;
        decide(false);
      });
      const end = (): void => {
        if (--missing === 0) decide(true);
      };
      for (const one of all) watch(one, end);
    });
  }

  /**
   * Cancels what is left and waits for it, again and again until nothing is: tasks may start tasks
   * while they end.
   */
  async #tasksEnded(): Promise<void> {
    const { isDead, delay } = this.#options;
    const leftovers = (): Task<unknown>[] =>
      this.#loop.tasks.toArray().filter((task) => this.#isOurs(task));
    for (let left = leftovers(); left.length > 0; left = leftovers()) {
      for (const task of left) {
        cancelLeftover(task);
        if (isDead && task.waitingFor().length === 0) task.abandon();
      }
      const haveEnded = await this.#ended(left, (task, end) => this.#watch(task, end));
      await runDueCallbacks(this.#loop);
      if (haveEnded) continue;
      abandonTasks(this.#loop, leftovers(), this.#isTooLong ? "watchdog" : delay);
      await runDueCallbacks(this.#loop);
      return;
    }
  }

  /** Calls `end` when `task` has ended. Nobody else hears of a failure now. */
  #watch(task: Task<unknown>, end: () => void): void {
    const futureDone = (): void => {
      if (task.state === "rejected") {
        task.observe();
        const message = `${task.describe()} has failed while the run was shutting down`;
        this.#loop.callExceptionHandler({ message, exception: task.failure, future: task, task });
      }
      end();
    };
    task.listen({ futureDone });
  }

  /**
   * Waits for what floating branches do in `cleanup` after they were cut off, one after the other.
   */
  async #cleanupsEnded(): Promise<void> {
    const { host, shielded } = this.#loop;
    for (;;) {
      await turnOf(host); // by then a branch that was cut off has come to its next `cleanup`
      const ours = [...shielded].filter(({ task }) => this.#isOurs(task));
      if (ours.length === 0) return;
      if (await this.#ended(ours, (scope, closed) => scope.watch({ closed }))) continue;
      this.#reportLate("branches that were cut off have not cleaned up");
      return;
    }
  }

  /** Cancels the runs that were called from this one and are not awaited, and waits for them. */
  async #innerRunsEnded(): Promise<void> {
    const { innerRuns } = this.#options;
    for (let left = innerRuns(); left.length > 0; left = innerRuns()) {
      for (const run of left) run.cancel();
      if (await this.#ended(left, (run, end) => run.whenEnded(end))) continue;
      this.#reportLate("a run has not ended", advice("The run that called it is over"));
      return;
    }
  }

  #reportLate(what: string, why = ""): void {
    const { delay } = this.#options;
    const when = this.#isTooLong ? ENDED : `within ${formatSeconds(delay)}`;
    const message = `${what} ${when}, and will be left behind${why}`;
    this.#loop.callExceptionHandler({ message });
  }

  /**
   * Ends the processes and sockets that were left open, and waits until they are gone; when the
   * time is over it kills.
   */
  async #dependentsEnded(): Promise<void> {
    const loop = this.#loop;
    const { dependents } = this.#options.foreign;
    const left = dependentsOf(loop).filter((dependent) => !dependents.has(dependent));
    if (left.length === 0) return;
    reportLeftOpen(loop, left);
    loop.host.io?.(1); // what is waited for is outside: virtual time holds still
    const haveEnded = await this.#ended(left, (one, end) => void one.end().then(end));
    if (!haveEnded) for (const dependent of left) dependent.kill?.();
    loop.host.io?.(-1);
  }
}

/**
 * Lists the tasks that would not end, and takes their waits away: nothing of them runs in this loop
 * any more.
 */
export function abandonTasks(
  loop: EventLoop,
  tasks: Task<unknown>[],
  after: number | "watchdog",
): void {
  const [first, second] = tasks;
  if (first === undefined) return;
  const what = second === undefined ? "a task has" : `${tasks.length} tasks have`;
  const when = after === "watchdog" ? ENDED : `${formatSeconds(after)} after being cancelled`;
  const message = `${what} not ended ${when}, and will be left behind:`;
  const lines = condense(tasks.map(describeTask));
  const task = second === undefined ? first : undefined;
  loop.callExceptionHandler({ message: [message, ...lines].join("\n  "), task });
  for (const each of tasks) each.abandon();
}

export function describeTask(task: Task<unknown>): string {
  const waits = task.waitingFor();
  return `${task.describe()} ${waits.length === 0 ? "sits in a foreign await" : `is waiting for ${waits.join(" and ")}`}`;
}
