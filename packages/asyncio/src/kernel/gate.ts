/**
 * Gates: promises that a step of the loop opens. What waits at a gate goes on in its turn, in the
 * async context in which it began to wait: so tasks start, callbacks are called, signals abort, and
 * `sleep(0)` lets others go first.
 *
 * Nothing can cancel it, so a gate is a tenth of a wait. Those who come one right after the other
 * wait at the same one: its promise remembers their order and contexts (bench: switch, spawn).
 */

import { captureSettlers, forgetSettlers, latest, type Settle } from "../structures/settlers.ts";
import type { Scope } from "./scope.ts";

/** Something in the ready queue. `step` must not throw and must not call user code. */
export interface Ready {
  step(): void;
  /** Whose step it is, for the report of slow steps. */
  readonly scope?: Scope;
}

export class Gate<T = void> implements Ready {
  readonly scope: Scope;
  /** Gets `value` when the gate opens. */
  readonly promise: Promise<T>;
  /** How many wait at it. */
  waiting = 1;
  readonly #open: Settle;
  readonly #value: T;

  constructor(scope: Scope, value?: T) {
    this.scope = scope;
    this.promise = new Promise<T>(captureSettlers);
    this.#open = latest.resolve;
    this.#value = value as T; // left out only where T is void
    forgetSettlers();
  }

  step(): void {
    if (this.waiting > 1) this.scope.loop.spend(this.waiting - 1); // the loop has counted one step
    this.#open(this.#value);
  }
}
