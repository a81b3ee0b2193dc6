/**
 * Callbacks of the program that the loop calls: `callSoon`, `callLater`, done callbacks. One waits
 * at a gate, so it runs in the async context of the code that registered it (R1), in a scope of its
 * own outside every task, with a copy of the context variables as they were then (S185).
 */

import { argumentError } from "../errors/errors.ts";
import { isThenable } from "../errors/render.ts";
import type { Context } from "../structures/context-values.ts";
import type { Timer } from "../structures/timers.ts";
import { currentContext, runInScope } from "./context.ts";
import { Gate } from "./gate.ts";
import type { EventLoop } from "./loop.ts";
import { Scope } from "./scope.ts";

export type Callback = (...args: never[]) => unknown;

/**
 * A callback that the loop will call, unless `cancel()` prevents it. Source: asyncio.Handle.
 *
 * @example
 * const handle = asyncio.getRunningLoop().callLater(0.001, () => assert.fail("it was called"));
 * handle.cancel();
 * await asyncio.sleep(0.01);
 */
export class Handle {
  /** The scope that the callback runs in: one of its own, outside every task. */
  readonly scope: Scope;
  /** @internal Set by callAt. */ timer: Timer | undefined = undefined;
  /** @internal False for an `unref`ed timer: it may never be called. */ isAwaited = true;
  readonly #gate: Gate;
  #callback: (() => unknown) | undefined;
  /** @internal `api` is the call that was made. */
  constructor(api: string, loop: EventLoop, callback: Callback, args: unknown[], values?: Context) {
    if (typeof callback !== "function") throw argumentError(api, "a function", callback);
    const label = callback.name || "a callback";
    this.#callback = () => (callback as (...args: unknown[]) => unknown)(...args);
    const context = values ?? currentContext().copy();
    this.scope = new Scope(loop, { label, context });
    this.#gate = new Gate(this.scope);
    this.#gate.promise.then(() => this.#run());
  }
  /** When the callback is due, on the clock of the loop; undefined for `callSoon`. */
  when(): number | undefined {
    return this.timer?.when;
  }
  /** The callback is not called; nothing happens if it was. */
  cancel(): void {
    this.#callback = undefined;
    if (this.timer !== undefined) this.scope.loop.cancelTimer(this.timer);
  }
  /** True once `cancel` was called. */
  cancelled(): boolean {
    return this.#callback === undefined;
  }
  /** @internal Puts the call at the end of the ready queue. */ timerDue(): void {
    this.scope.loop.enqueue(this.#gate);
  }
  #run(): void {
    if (this.#callback === undefined || this.scope.loop.isClosed()) return;
    try {
      const result = runInScope(this.scope, this.#callback, undefined);
      if (isThenable(result)) result.then(undefined, (exception) => this.#report(exception));
    } catch (exception) {
      this.#report(exception);
    }
  }
  #report(exception: unknown): void {
    const report = { message: "a callback has failed", exception, handle: this };
    runInScope(this.scope, () => this.scope.loop.callExceptionHandler(report), undefined);
  }
}
