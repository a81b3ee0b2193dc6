/**
 * Gates: promises that a step of the loop opens. What waits at one goes on in its turn, in its own
 * async context: so callbacks are called, `sleep(0)` lets others go first. Those who come one right
 * after the other share one, in order (bench: switch). Nothing can cancel it.
 */

import type { Scope } from "./scope.ts";
import { dropSettlers, keepSettlers, latest, type Settle } from "./settlers.ts";

/** Something in the ready queue. `step` must not throw and must not call user code. */
export interface Ready {
  step(): void;
  readonly scope?: Scope; // whose step it is, for the report of slow steps
}
export class Gate<T = void> implements Ready {
  static readonly kept: Gate = new Gate({} as Scope); // one for good, as in scope.ts
  readonly scope: Scope;
  readonly promise: Promise<T>; // gets `value` when the gate opens
  waiting = 1; // how many wait at it
  readonly #open: Settle;
  readonly #value: T;
  constructor(scope: Scope, value?: T) {
    this.scope = scope;
    this.promise = new Promise<T>(keepSettlers);
    this.#open = latest.resolve;
    this.#value = value as T; // left out only where T is void
    dropSettlers();
  }
  step(): void {
    if (this.waiting > 1) this.scope.loop.spend(this.waiting - 1); // the loop has counted one step
    this.#open(this.#value);
  }
}
