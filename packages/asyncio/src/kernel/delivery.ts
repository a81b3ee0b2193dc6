/**
 * Delivering cancellations. One may forward itself from task to awaited task without end; so they are worked off as a
 * list, and a chain of a hundred thousand tasks needs no stack.
 */

import type { Scope } from "./scope.ts";
import type { Cancellation } from "./wait.ts";

const deliveries: [Scope, Cancellation][] = [];
let delivering = false;

/** Delivers `cancellation` to all that waits at or below `scope`, at once or after the deliveries that are under way. */
export function deliver(scope: Scope, cancellation: Cancellation): void {
  deliveries.push([scope, cancellation]);
  if (delivering) return;
  delivering = true;
  try {
    for (let index = 0; index < deliveries.length; index++) {
      const [target, due] = deliveries[index] as [Scope, Cancellation]; // index < length
      target.deliverNow(due);
    }
  } finally {
    deliveries.length = 0;
    delivering = false;
  }
}
