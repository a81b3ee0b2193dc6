/**
 * Ends everything that a run has left behind. Its tasks are cancelled and awaited, again and again
 * until none is left (S175; S177 does it once). Then come branches that clean up, runs that were
 * called from it, processes and sockets. Failures that no code has seen are reported. What is alive
 * when the time is over is listed, and left behind.
 */

import { type Dependent, dependentsOf } from "../interop/dependents.ts";
import { drainRequests, forgetRequests } from "../interop/draining.ts";
import type { FutureListener } from "../kernel/future.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { reportUnobserved } from "../kernel/reports.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import { formatSeconds } from "../structures/timers.ts";
import { condense } from "../tasks/condense.ts";
import { cancelLeftover } from "../tasks/leftovers.ts";

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

/**
 * Lets the callbacks run that are due, as asyncio's loop does in its last iteration; they may make
 * others ready without end.
 */
export async function runDueCallbacks(loop: EventLoop): Promise<void> {
  loop.timers.fireDue(loop.time());
  const turns = 2 + Math.ceil(loop.statistics().ready / LEAST_IN_A_TURN);
  loop.host.io?.(1); // these are turns of the same moment: virtual time holds still
  for (let turn = 0; turn < turns && !loop.isIdle; turn++)
    await new Promise<void>((resolve) => loop.host.macrotask(resolve));
  loop.host.io?.(-1);
}

export async function shutDown(loop: EventLoop, options: ShutdownOptions): Promise<void> {
  await new Shutdown(loop, options).run();
}

const ENDED = "when the watchdog of the loop ended the run";

class Shutdown {
  readonly #loop: EventLoop;
  readonly #options: ShutdownOptions;
  /** When the time for what is left is over: it begins when the requests have been drained. */
  #deadline = 0;
  /** True once the watchdog has said that it has taken too long. */
  #isTooLong = false;

  constructor(loop: EventLoop, options: ShutdownOptions) {
    this.#loop = loop;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { delay, foreign, isDead } = this.#options;
    // Nothing is cancelled before that: a request may need what the other tasks do. After a
    // deadlock it would wait in vain.
    const isOurs = (task: Task<unknown>): boolean => !isDead && !foreign.tasks.has(task);
    const drained = drainRequests(this.#loop, isOurs);
    if (drained !== undefined) await drained;
    this.#deadline = this.#loop.time() + delay;
    await this.#tasksEnded();
    await this.#cleanupsEnded();
    await this.#innerRunsEnded();
    await this.#dependentsEnded();
    forgetRequests(this.#loop);
    reportUnobserved(this.#loop);
  }

  /**
   * Cancels what is left and waits for it, again and again until nothing is: tasks may start tasks
   * while they end.
   */
  async #tasksEnded(): Promise<void> {
    const cancelled = new Set<Task<unknown>>();
    for (let left = this.#leftovers(); left.length > 0; left = this.#leftovers()) {
      for (const task of left) {
        if (!cancelled.has(task)) cancelLeftover(task);
        cancelled.add(task);
        if (this.#options.isDead && task.waitingFor().length === 0) task.abandon();
      }
      const haveEnded = await this.#allEnded(left);
      await runDueCallbacks(this.#loop);
      if (haveEnded) continue;
      abandonTasks(
        this.#loop,
        this.#leftovers(),
        this.#isTooLong ? "watchdog" : this.#options.delay,
      );
      await runDueCallbacks(this.#loop);
      return;
    }
  }

  #leftovers(): Task<unknown>[] {
    return this.#loop.tasks.toArray().filter((task) => !this.#options.foreign.tasks.has(task));
  }

  /**
   * Calls `begin` with a function to call when it is over; false if the time is over before. In
   * virtual time, which holds still while work outside goes on, the watchdog says so.
   */
  #inTime(begin: (end: () => void) => void): Promise<boolean> {
    const loop = this.#loop;
    return new Promise((resolve) => {
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
      begin(() => decide(true));
    });
  }

  /** Waits until all `tasks` have ended. */
  #allEnded(tasks: Task<unknown>[]): Promise<boolean> {
    const loop = this.#loop;
    return this.#inTime((end) => {
      let missing = tasks.length;
      const listener: FutureListener = {
        futureDone(task) {
          if (task.state === "rejected") {
            task.observe();
            const message = `${task.describe()} has failed while the run was shutting down`;
            const context = { message, exception: task.failure, future: task };
            loop.callExceptionHandler({ ...context, task: task as Task<unknown> });
          }
          if (--missing === 0) end();
        },
      };
      for (const task of tasks) task.listen(listener);
    });
  }

  /**
   * Waits for what floating branches do in `cleanup` after they were cut off, one after the other.
   */
  async #cleanupsEnded(): Promise<void> {
    const loop = this.#loop;
    if (!loop.hasCutBranches) return;
    for (;;) {
      await new Promise<void>((resolve) => loop.host.macrotask(resolve)); // by then a branch that was cut off has come to its next `cleanup`
      const { tasks } = this.#options.foreign;
      const ours = [...loop.shielded].filter(({ task }) => task === undefined || !tasks.has(task));
      if (ours.length === 0) return;
      const closed = await Promise.all(ours.map((scope) => this.#closed(scope)));
      if (closed.includes(false)) break;
    }
    this.#reportLate("branches that were cut off have not cleaned up");
  }

  #closed(scope: Scope): Promise<boolean> {
    return this.#inTime((closed) => scope.watch({ closed }));
  }

  /** Cancels the runs that were called from this one and are not awaited, and waits for them. */
  async #innerRunsEnded(): Promise<void> {
    const { innerRuns } = this.#options;
    for (let left = innerRuns(); left.length > 0; left = innerRuns()) {
      for (const run of left) run.cancel();
      const ended = await Promise.all(left.map((run) => this.#inTime((end) => run.whenEnded(end))));
      if (!ended.includes(false)) continue;
      this.#reportLate("a run has not ended", ": the run that it was called from is over");
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
    if (loop.debug) {
      const lines = condense(left.map((dependent) => dependent.describe()));
      const message = ["the run has ended what was left open:", ...lines].join("\n  ");
      loop.callExceptionHandler({ message });
    }
    loop.host.io?.(1); // what is waited for is outside: virtual time holds still
    const haveEnded = await this.#inTime((end) => {
      void Promise.all(left.map((dependent) => dependent.end())).then(end);
    });
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
