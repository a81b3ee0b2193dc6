/** What a run fails with that would never end. */

import { register } from "../kernel/errors.ts";
import { condense } from "../words/lines.ts";

/** Nothing can happen any more, and main has not ended. `tasks` are those that waited, in the order they were created. */
export class DeadlockError<T extends object = object> extends Error {
  readonly code = "ERR_ASYNCIO_DEADLOCK";
  // Not enumerable: printing the error would print each task with all that hangs on it.
  declare readonly tasks: readonly T[];

  constructor(tasks: readonly T[], descriptions: readonly string[]) {
    super(
      `nothing is left that could wake a task, but ${tasks.length === 1 ? "one is" : `${tasks.length} are`} still waiting:\n` +
        condense(descriptions)
          .map((line) => `  ${line}`)
          .join("\n"),
    );
    Object.defineProperty(this, "tasks", { value: tasks });
  }
}
register(DeadlockError, "DeadlockError");
