/**
 * Who waits for a task to end: the group or the call that it is a child of, and every task that
 * awaits it. For operations that would wait for themselves. It is found from below, so that tasks
 * need not know their owners.
 */

import type { FutureListener } from "../kernel/future.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import { Wait } from "../kernel/wait.ts";

/** A listener that stands for code that waits until the task has ended. */
export interface Ownership extends FutureListener {
  /** Where that is. */
  readonly owner: Scope;
}

/** Whether one of `tasks` is `task`, or waits for it, directly or over others. */
export function isNeededBy(task: Task<unknown>, tasks: ReadonlySet<unknown>): boolean {
  const found = new Set([task]);
  for (const one of found) {
    if (tasks.has(one)) return true;
    for (const listener of one.allListeners()) {
      const scope =
        listener instanceof Wait ? listener.scope : (listener as Partial<Ownership>).owner;
      if (scope?.task !== undefined) found.add(scope.task);
    }
  }
  return false;
}
