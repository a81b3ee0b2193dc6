/**
 * A task that belongs to all who wait for it. Whoever is cancelled leaves at once and the others go
 * on; the last one cancels the task, and waits until it has ended, as an owner does.
 */

import { here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";

export class Joint<T> {
  readonly task: Task<T>;
  #waiting = 0;
  /** True once the last one has left: who comes now has to begin another. */
  isLeft = false;

  constructor(task: Task<T>) {
    this.task = task;
  }

  /** Gives what the task gives. The caller has asked for an interruption. */
  wait(): Promise<T> {
    const { task } = this;
    const scope = here();
    const cycle = task.cycleThrough(scope);
    if (cycle !== undefined) return refused(scope, task, cycle);
    this.#waiting++;
    const wait = park<T>(scope, task, (_wait, cancellation) => {
      if (this.#waiting === 1) {
        this.isLeft = true;
        task.forwardCancel(cancellation);
        return false;
      }
      this.#waiting--;
      task.unlisten(wait);
      return true;
    });
    task.listen(wait);
    return wait.promise;
  }
}
