/**
 * The one `AsyncLocalStorage` slot of the library: it holds the scope of the running code, and
 * follows native `await`s, also across foreign promises.
 */

import { contextHooks, runInRoot } from "../ports/context-storage.ts";
import { joinCopies, noticeOtherCopies } from "../ports/copies.ts";
import { Context } from "../structures/context-values.ts";
import type { Scope } from "./scope.ts";

type Hooks = ReturnType<typeof contextHooks>;
const hooks = contextHooks();
const { AsyncLocalStorage } = hooks;
/** Keeps the context in which it was made. */
export const AsyncResource: Hooks["AsyncResource"] = hooks.AsyncResource;
const storage = new AsyncLocalStorage<Scope>();
/** The current scope, for code of ours: a scope of another copy of the library is no mistake. */
export const scopeAround = (): Scope | undefined => storage.getStore();
// A context with no storage but ours. On Node 24 the host's is a map with an entry for each, which
// is half of the cost of a scope (bench: timers, spawn, memory). This does for it where it can.
class Frame {
  readonly scope: Scope;
  constructor(scope: Scope) {
    this.scope = scope;
  }
  has(store: unknown): boolean {
    return store === storage;
  }
  get(store: unknown): unknown {
    return store === storage ? this.scope : undefined;
  }
  [Symbol.iterator](): Iterator<unknown> {
    return [[storage, this.scope]].values(); // for a copy with one entry more
  }
  disable(): void {} // a storage that has no entry
}
type Contexts = Record<symbol, Frame | ReadonlyMap<unknown, unknown> | undefined>;
type Kept = InstanceType<typeof AsyncResource>;
type Resource = Kept & Contexts;
// By which key a resource keeps the context that it brings back, if that may be a frame. Also the
// first `run`: from then on Node 20 follows contexts.
const contextKey = storage.run({} as Scope, () => {
  const resource = new AsyncResource("asyncio", 0) as Resource;
  const key = Object.getOwnPropertySymbols(resource).find((one) => resource[one]?.has?.(storage));
  if (key !== undefined) resource[key] = new Frame({} as Scope);
  try {
    const other = new AsyncLocalStorage<boolean>();
    const copied = (): unknown => other.getStore() ?? other.run(false, scopeAround);
    return resource.runInAsyncScope(copied, undefined) ? key : undefined;
  } catch {} // this host wants its own
  return undefined;
});
runInRoot(() => {}); // the context of now is the root
joinCopies(() => storage.getStore()?.closed === false);

/** The scope of the running code; undefined outside every task, scope and callback of ours. */
export function currentScope(): Scope | undefined {
  const scope = storage.getStore();
  if (scope === undefined) noticeOtherCopies();
  return scope;
}
/**
 * Calls `fn(argument)` in `scope`: once per scope, never per step. The resource brings the context
 * back that was there before, where `storage.run` would make another one. One for each scope: tools
 * that follow `async_hooks` keep what is theirs on it.
 */
export function runInScope<A, R>(scope: Scope, fn: (one: A) => R, argument: A, kept?: Kept): R {
  const resource = (kept ?? new AsyncResource("asyncio", 0)) as Resource;
  if (contextKey && isOurs(resource[contextKey])) resource[contextKey] = new Frame(scope);
  return resource.runInAsyncScope(enterAndCall<A, R>, undefined, scope, fn, argument);
}
/** Whether a context has no entry but ours, or none. */
const isOurs = (context: Contexts[symbol]): boolean =>
  !context || !("size" in context) || (context.size === 1 && context.has(storage));
function enterAndCall<A, R>(scope: Scope, fn: (argument: A) => R, argument: A): R {
  if (storage.getStore() !== scope) storage.enterWith(scope);
  return fn(argument);
}
/** Makes `scope` that of the continuation that runs now. Without a caller, it leaks into none. */
export const enterScope = (scope: Scope): void => storage.enterWith(scope);
const outside: Context = new Context();
/** The context variables of the running code. */
export const currentContext = (): Context => Context.entered ?? currentScope()?.context ?? outside;
