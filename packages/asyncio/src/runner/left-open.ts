/** What debug mode says at the end of a run about what is still open then. */

import type { Dependent } from "../interop/dependents.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { condense } from "../tasks/condense.ts";

/** Reports the processes and sockets that a run is about to end. */
export function reportLeftOpen(loop: EventLoop, left: readonly Dependent[]): void {
  if (!loop.debug) return;
  const lines = condense(left.map((dependent) => dependent.describe()));
  const message = ["the run has ended what was left open:", ...lines].join("\n  ");
  loop.callExceptionHandler({ message });
}
