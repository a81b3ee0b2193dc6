/**
 * Deadlocks: nothing is left that could wake a task, and main has not ended. The runner and the
 * loops of tests find out; here is what they say about it. Waits that know whom they depend on
 * (`waitsOn` of their subject) show the circle (circle.ts).
 */

import { register } from "../errors/errors.ts";
import type { Task } from "../kernel/task.ts";
import { circleAmong, circleInWords } from "./circle.ts";
import { condense } from "./condense.ts";

/**
 * Nothing can happen any more, and main has not ended; or all who hold something wait for each
 * other. `tasks` are those that waited, in the order they were created.
 */
export class DeadlockError<T extends object = object> extends Error {
  readonly code = "ERR_ASYNCIO_DEADLOCK";
  // Not enumerable: printing the error would print each task with all that hangs on it.
  /** The tasks that wait for something that nobody will do. */
  declare readonly tasks: readonly T[];

  constructor(
    tasks: readonly T[],
    descriptions: readonly string[],
    circle: readonly string[] = [],
    title?: string,
  ) {
    const count = tasks.length === 1 ? "one is" : `${tasks.length} are`;
    const waiting = condense(descriptions).map((line) => `  ${line}`);
    const lines = [...waiting, ...circleInWords(circle)];
    const words = title ?? `nothing is left that could wake a task, but ${count} still waiting`;
    super(`${words}:\n${lines.join("\n")}`);
    Object.defineProperty(this, "tasks", { value: tasks });
  }
}
register(DeadlockError, "DeadlockError");

/** The error for `tasks`, each in the words of `describe`. */
export function deadlockOf(
  tasks: readonly Task<unknown>[],
  descriptions: readonly string[],
): DeadlockError<Task<unknown>> {
  const circle = circleAmong(tasks).map((task) => JSON.stringify(task.getName()));
  return new DeadlockError(tasks, descriptions, circle);
}
