/** Tasks that are left when a run or a job has ended. */

import type { Task } from "../kernel/task.ts";

/** Cancels `task`, unless it was cancelled before and is cleaning up: its grace period goes on. */
export function cancelLeftover(task: Task<unknown>): void {
  const { graceTimer, insists } = task.scope.cancelState;
  if (graceTimer === undefined && !insists) task.cancelFor("shutdown");
}
