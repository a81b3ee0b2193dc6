/**
 * Who waits for a task to end: the group or the call that it is a child of, and every task that
 * awaits it. For operations that would wait for themselves. It is found from below, so that tasks
 * need not know their owners.
 */

import type { FutureListener } from "../kernel/future.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import { Wait } from "../kernel/wait.ts";
import type { Links } from "../structures/linked-list.ts";

/** A listener that stands for code that waits until the task has ended. */
export interface Ownership extends FutureListener {
  /** Where that is. */
  readonly owner: Scope;
}

/** A call that has children and waits for them. */
export interface Parent<C> {
  /** Where it waits. */
  readonly scopeAround: Scope;
  childDone(child: C): void;
}

/**
 * What a call knows of one of its children. One object for each, for there may be a hundred
 * thousand (bench: semaphore): it is listener, owner, and link of the list of children.
 */
export abstract class Child<C extends Child<C>> implements Ownership, Links<C> {
  readonly #parent: Parent<C>;
  previous: C | undefined;
  next: C | undefined;

  constructor(parent: Parent<C>) {
    this.#parent = parent;
  }

  get owner(): Scope {
    return this.#parent.scopeAround;
  }

  futureDone(): void {
    this.#parent.childDone(this as unknown as C); // C is the class itself
  }
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
