/**
 * The one `AsyncLocalStorage` slot of the library: it holds the scope of the running code, and
 * follows native `await`s, also across foreign promises.
 */

import { contextHooks, runInRoot } from "../ports/context-storage.ts";
import { joinCopies, noticeOtherCopies } from "../ports/copies.ts";
import { Context } from "../structures/context-values.ts";
import type { Scope } from "./scope.ts";

const { AsyncLocalStorage, AsyncResource } = contextHooks();
const storage = new AsyncLocalStorage<Scope>();
// By which key a resource keeps the frame that it brings back, where that is seen, as on Node 24: a
// map with an entry for each storage. Also the first `run`: from then on Node 20 follows contexts.
type Frames = Record<symbol, ReadonlyMap<unknown, unknown> | undefined>;
type Framed = InstanceType<typeof AsyncResource> & Frames;
const frameKey = storage.run({} as Scope, () => {
  const resource = new AsyncResource("asyncio", 0) as Framed;
  const key = Object.getOwnPropertySymbols(resource).find((one) => resource[one]?.has?.(storage));
  if (key !== undefined) resource[key] = undefined;
  return resource.runInAsyncScope(scopeAround, undefined) === undefined ? key : undefined;
});
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
/**
 * Calls `fn(argument)` in `scope`: once per scope, never per step. The resource brings the frame
 * back that was there before, where `storage.run` would make another one. It looks for no trigger,
 * hence 0, and copies no frame that has our slot alone: half of the cost (bench: timers, spawn).
 */
export function runInScope<A, R>(scope: Scope, fn: (argument: A) => R, argument: A): R {
  const resource = new AsyncResource("asyncio", 0) as Framed;
  const frame = frameKey && resource[frameKey];
  if (frameKey && frame?.size === 1 && frame.has(storage)) resource[frameKey] = undefined;
  return resource.runInAsyncScope(enterAndCall<A, R>, undefined, scope, fn, argument);
}
function enterAndCall<A, R>(scope: Scope, fn: (argument: A) => R, argument: A): R {
  storage.enterWith(scope);
  return fn(argument);
}
/** Makes `scope` that of the continuation that runs now. Without a caller, it leaks into none. */
export const enterScope = (scope: Scope): void => storage.enterWith(scope);
const outside: Context = new Context();
/** The context variables of the running code. */
export function currentContext(): Context {
  return Context.entered ?? currentScope()?.context ?? outside;
}
