/**
 * The one `AsyncLocalStorage` slot of the library: it holds the scope of the running code, and
 * follows native `await`s, also across foreign promises.
 */

import { contextStorage, runInRoot } from "../ports/context-storage.ts";
import { joinCopies, noticeOtherCopies } from "../ports/copies.ts";
import { Context, enteredContext } from "../structures/context-values.ts";
import type { Scope } from "./scope.ts";

const AsyncLocalStorage = contextStorage();
const storage = new AsyncLocalStorage<Scope>();
storage.run({} as Scope, () => {}); // Node 20 and 22 follow contexts from the first `run` on
runInRoot(() => {}); // the context of now is the root
joinCopies(() => storage.getStore()?.closed === false);

/** The scope of the running code; undefined outside every task, scope and callback of ours. */
export function currentScope(): Scope | undefined {
  const scope = storage.getStore();
  if (scope === undefined) noticeOtherCopies();
  return scope;
}

/** The same, for code that the program has not called: a scope of another copy is no mistake. */
export function scopeAround(): Scope | undefined {
  return storage.getStore();
}
/** Calls `fn(argument)` in `scope`. It costs about 0.5 us: once per scope, never per step. */
export function runInScope<A, R>(scope: Scope, fn: (argument: A) => R, argument: A): R {
  return storage.run(scope, fn, argument);
}
/** Makes `scope` that of the continuation that runs now. Without a caller, it leaks into none. */
export function enterScope(scope: Scope): void {
  storage.enterWith(scope);
}

const outside: Context = new Context();
/** The context variables of the running code. */
export function currentContext(): Context {
  return enteredContext() ?? currentScope()?.context ?? outside;
}
