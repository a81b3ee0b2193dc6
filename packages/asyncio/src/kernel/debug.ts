/** What debug mode finds out about scopes. The slow steps are the loop's own. */

import type { Scope } from "./scope.ts";
import { formatSeconds } from "./timers.ts";

/** Reports a scope that has outlived its grace period: it has swallowed its cancellation, or cannot see it. */
export function reportInsisted(scope: Scope, grace: number): void {
  const { loop, task } = scope;
  if (!loop.debug) return;
  const [wait] = scope.parkedWaits(1);
  const where =
    wait === undefined
      ? "it sits in a foreign await, which cannot be cancelled. Wrap foreign work in `cancellable`"
      : `it swallowed the cancellation and is waiting for ${wait.describe()}. Every operation in it rejects from now on`;
  loop.callExceptionHandler({
    message: `${describeScope(scope)} has not ended ${formatSeconds(grace)} after it was cancelled: ${where}`,
    task,
    sourceTraceback: wait?.createdAt ?? task?.createdAt,
  });
}

/** Reports the branches that still wait in a scope that has ended. */
export function reportFloating(scope: Scope): void {
  const { loop, task } = scope;
  if (!loop.debug) return;
  for (const wait of scope.parkedWaits()) {
    loop.callExceptionHandler({
      message: `${describeScope(scope)} has ended, and a branch that nobody awaited was cut off while waiting for ${wait.describe()}`,
      task,
      sourceTraceback: wait.createdAt,
    });
  }
}

function describeScope({ label, task }: Scope): string {
  if (task === undefined) return label;
  return label === "task" ? task.describe() : `${label} in ${task.describe()}`;
}
