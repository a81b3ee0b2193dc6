/**
 * The low-level door (asyncio-ts/lowlevel): for authors of operations. An operation is a function
 * that returns a promise, and it keeps three rules: ask `interruption` first, and return what it
 * gives; change all state in the call; wait only through `park`.
 *
 *     acquire(): Promise<void> {
 *       const stop = interruption("Gate.acquire");
 *       if (stop !== undefined) return stop;                    // cancelled: nothing has changed
 *       if (this.isOpen) return complete("Gate.acquire", undefined);
 *       const wait = park<void>("Gate.acquire");
 *       this.waiters.add(wait);                // a WaitList: the wait leaves when it ends
 *       return wait.promise;
 *     }
 */

import type { CancelSource } from "../errors/errors.ts";
import { currentScope as currentScopeOfKernel, runInScope } from "../kernel/context.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park as parkIn } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import type { Wait, WaitSubject } from "../kernel/wait.ts";
import { type Dependent, dependents } from "./dependents.ts";

/** A cancellation that is about to end a wait, as `onCancel` sees it. */
export interface Cancellation {
  /** Why the scope was cancelled. */
  readonly source: CancelSource;
  /** What was passed to `cancel(reason)`. */
  readonly reason: unknown;
  /** The name of the task that asked for it, if it was a task. */
  readonly requestedBy: string | undefined;
}

/** The scope of the running code: of a task, a timeout, a group. */
export interface Scope {
  /** The loop on which it lives. */
  readonly loop: EventLoop;
  /** The task whose body runs here, however deep. */
  readonly task: Task<unknown> | undefined;
  /**
   * Absolute, on the clock of the loop; Infinity if there is none. Those of scopes around it are
   * not counted in.
   */
  readonly deadline: number;
  /** True once its body has ended: what is begun in it from then on is cut off. */
  readonly closed: boolean;
  /**
   * Whether it lies in `other`, at whatever depth, and is not that one. For two scopes of one task:
   * two branches of it have scopes of which neither lies in the other.
   */
  isInside(other: Scope): boolean;
  /** Cancels all that waits in it. */
  cancel(reason?: unknown): void;
}

/**
 * The scope of the running code; undefined outside every `run`, task and scope.
 *
 * @example
 * import { currentScope } from "asyncio-ts/lowlevel";
 * assert.equal(currentScope(), undefined);
 * const stopped = asyncio.createTask(async () => {
 *   currentScope()?.cancel("enough");
 *   await asyncio.sleep(3600);
 * });
 * await assert.rejects(stopped, asyncio.CancelledError);
 */
export const currentScope: () => Scope | undefined = currentScopeOfKernel;

/**
 * A task and those it is part of, from the outermost on: what a report calls it when its own name
 * says too little. A task is part of the one that owns it, by a task group, a `gather` or a queue
 * of jobs. One that is merely awaited is part of none, and comes first.
 *
 * @example
 * import { taskPath } from "asyncio-ts/lowlevel";
 * const work = asyncio.createTask(
 *   () =>
 *     asyncio.taskGroup(async (group) => {
 *       const job = group.createTask(() => asyncio.sleep(0.01), { name: "job" });
 *       return taskPath(job).map((task) => task.getName());
 *     }),
 *   { name: "work" },
 * );
 * assert.deepEqual(await work, ["work", "job"]);
 */
export function taskPath(task: Task<unknown>): Task<unknown>[] {
  const path = new Set([task]); // tasks that gather each other have owners in a circle
  for (let around = task.owner?.task; around && !path.has(around); around = around.owner?.task)
    path.add(around);
  return [...path].reverse();
}

/**
 * The rejection of an operation that is begun now, if the current scope was cancelled; the
 * operation returns it. Undefined if it may begin. Asks only, and waits for nothing.
 */
export function interruption(subject: WaitSubject): Promise<never> | undefined {
  return here().interruption(subject);
}

/**
 * What an operation on `subject` returns that is complete in the call, with its `value`. Counts
 * against the budget that keeps the host alive.
 */
export function complete<T>(subject: WaitSubject, value: T): Promise<T> {
  return completed(here(), subject, value);
}

/**
 * What an operation on `subject` returns that cannot begin: it rejects with `error`, in its turn.
 */
export function refuse(subject: WaitSubject, error: unknown): Promise<never> {
  return refused(here(), subject, error);
}

/**
 * Parks a new wait in the current scope. The code that holds it ends it with `resume`, `fail` or
 * `joined`; the operation returns its `promise`. `subject` is shown in reports: words, or an object
 * that finds them when a report is made, and that may know which tasks have to act before the wait
 * can end (`waitsOn`).
 *
 * When the scope is cancelled, `onCancel` is called first, in that scope (other AsyncLocalStorage
 * stores are those of the code that cancels). It withdraws what the operation has registered and
 * returns true. Or it passes the cancellation on to what it waits for and returns false; then the
 * wait goes on, and ends with `joined` when that has ended. Meanwhile it still stands in its
 * `WaitList`: remove it there before you serve others of that line.
 */
export function park<T>(
  subject: WaitSubject,
  onCancel?: (wait: Wait<T>, cancellation: Cancellation) => boolean,
): Wait<T> {
  const scope = here();
  if (onCancel === undefined) return parkIn<T>(scope, subject);
  return parkIn<T>(scope, subject, (wait, cancellation) => {
    return runInScope(scope, () => onCancel(wait as unknown as Wait<T>, cancellation), undefined); // the very wait made here
  });
}

/** Something that is held and has to be given back: a lock, a permit, a connection. */
export interface Held {
  /** What is not given back, in words; undefined if all is. */
  leftover(): string | undefined;
}

/**
 * Tells that `resource` is held now: a test (`runTest`, `explore`) fails if it is not given back
 * when the test ends. Call it each time something is taken; the same resource again costs nothing.
 * Outside tests it does nothing.
 */
export function watchHeld(resource: Held): void {
  const { loop } = here();
  if (loop.isExact) loop.host.watch?.(resource);
}

/** Something outside the loop that must not outlive its run: a process, a socket, a worker. */
export interface Outside {
  /** What reports call it. */
  describe(): string;
  /** Ends it by force; resolves when it is gone. Must not reject. */
  end(): Promise<void>;
  /** Ends it in the call, as well as that goes: the process is about to die. */
  kill?(): void;
}

/**
 * Gives `thing` to the run of the current loop, which ends it if it is still there when all tasks
 * have ended, and reports it. Call what it gives when `thing` is gone.
 *
 * @example
 * import { belongToRun } from "asyncio-ts/lowlevel";
 * const timer = setInterval(() => {}, 1000);
 * const gone = belongToRun({ describe: () => "a timer", end: async () => clearInterval(timer) });
 * clearInterval(timer);
 * gone();
 */
export function belongToRun(thing: Outside): () => void {
  const { loop } = here();
  const dependent: Dependent = {
    loop,
    describe: () => thing.describe(),
    end: () => thing.end(),
    kill: () => thing.kill?.(),
  };
  dependents.add(dependent);
  return () => void dependents.delete(dependent);
}

/**
 * A point where the current scope may be cancelled and other tasks may have their turn.
 *
 * @example
 * import { checkpoint } from "asyncio-ts/lowlevel";
 * const work = asyncio.timeout(0.01, async () => {
 *   for (;;) await checkpoint(); // without it, the deadline would not be noticed
 * });
 * await assert.rejects(work, asyncio.TimeoutError);
 */
export function checkpoint(): Promise<void> {
  return interruption("checkpoint") ?? complete("checkpoint", undefined);
}
