/** Starting tasks, and asking which there are. */

import { checkCoroutine, checkOptions, checkSeconds } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here } from "../kernel/operation.ts";
import { type Coroutine, Task, type TaskOptions } from "../kernel/task.ts";
import { bindTask } from "./abort.ts";

/** Any name of a task becomes text, as in asyncio. */
export type TaskNames<O> = Names<Omit<O, "name">> & { readonly name: 1 };
export const TASK_OPTIONS: TaskNames<TaskOptions> = {
  name: 1,
  context: "Context",
  eagerStart: "boolean",
  signal: "AbortSignal",
  cancelGrace: 1,
};

/**
 * Starts `coroutine` as a task. Its first step runs in the next iteration of the loop, after what
 * is ready now. Nobody waits for it unless you do: prefer `taskGroup`. Not a wait itself.
 * @throws TypeError when `coroutine` is not a function; InvalidStateError on a closed loop.
 */
export function createTask<T>(coroutine: Coroutine<T>, options?: TaskOptions): Task<T> {
  checkCoroutine("`createTask`", coroutine);
  const { loop } = here();
  loop.checkOpen("`createTask`");
  checkTaskOptions("`createTask`", options);
  const task = new Task(loop, coroutine, options);
  bindTask(task, options?.signal);
  return task;
}

/** @throws TypeError or RangeError for wrong options, in the name of the call. */
export function checkTaskOptions(api: string, options: TaskOptions | undefined): void {
  if (options === undefined) return;
  checkOptions(api, options, TASK_OPTIONS);
  const { cancelGrace = 0 } = options;
  checkSeconds(api, "`cancelGrace` in seconds", cancelGrace);
}

/**
 * The running task; undefined in callbacks of the loop (`callSoon`) and outside every task. In a
 * bare callback of the host (a listener, a timer, the handler of a web server) it is the task that
 * registered the callback, whose context variables the callback shares with all its other
 * callbacks: `requestScope` and `createTask` start one with its own.
 *
 * @example
 * const work = async () => asyncio.currentTask()?.getName();
 * assert.equal(await asyncio.createTask(work, { name: "worker" }), "worker");
 */
export function currentTask(): Task<unknown> | undefined {
  return here().task;
}

/**
 * The tasks of the running loop that have not ended, in the order of their creation.
 *
 * @example
 * const worker = asyncio.createTask(() => asyncio.sleep(0.001));
 * assert.ok(asyncio.allTasks().has(worker));
 * await worker;
 * assert.ok(!asyncio.allTasks().has(worker));
 */
export function allTasks(): Set<Task<unknown>> {
  return new Set(here().loop.tasks.toArray());
}
