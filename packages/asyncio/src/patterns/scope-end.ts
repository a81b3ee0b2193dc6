/**
 * Things that live no longer than the scope they were begun in, and mostly end before it. A scope
 * keeps what watches it until it is closed, so all of them share one watcher: a task that reads
 * stream after stream for days keeps nothing of those that have ended.
 */

import type { Scope } from "../kernel/scope.ts";

const endings: WeakMap<Scope, Set<() => void>> = new WeakMap();

/** Calls `callback` when `scope` is closed, unless what it gives was called before. */
export function whenClosed(scope: Scope, callback: () => void): () => void {
  const known = endings.get(scope);
  const callbacks = known ?? new Set();
  callbacks.add(callback);
  if (known === undefined) {
    endings.set(scope, callbacks);
    scope.watch({
      closed() {
        for (const call of [...callbacks]) call();
      },
    });
  }
  return () => void callbacks.delete(callback);
}
