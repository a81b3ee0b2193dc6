/**
 * Abort signals for foreign work. Each scope has one, made when it is first asked for. It aborts
 * from the ready queue, in the scope that it belongs to: its listeners are user code, which never
 * runs in the context of the code that cancels.
 */

import { CancelledError } from "../errors/errors.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { Gate } from "../kernel/gate.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { guardAbandonedBranches } from "../ports/uncaught.ts";

/**
 * A controller that is aborted in a step of the loop, in the async context in which it was made,
 * with all its stores.
 */
export class Aborting {
  readonly controller: AbortController = new AbortController();
  readonly #gate: Gate;
  #isAborted = false;
  #reason: unknown = undefined;

  constructor(scope: Scope) {
    this.#gate = new Gate(scope);
    this.#gate.promise.then(() => this.controller.abort(this.#reason));
  }

  /** Aborts with the CancelledError of `cancellation`, in its turn; only the first time. */
  abort(cancellation: Cancellation): void {
    if (!this.#isAborted) this.abortWith(new CancelledError(cancellation));
  }

  /** Aborts with `reason`, in its turn; only the first time. */
  abortWith(reason: unknown): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    guardAbandonedBranches();
    // In the turn in which waits that were parked are told: what its listeners reject does not meet
    // the cancellation again.
    this.#gate.scope.loop.enqueue(this.#gate, true);
  }
}

const signals: WeakMap<Scope, AbortSignal> = new WeakMap();

/**
 * A signal that aborts when the current scope is cancelled, with the CancelledError as its reason;
 * one per scope, made on first use. A scope that ends normally does not abort it: `res.json()`
 * after `timeout(5, () => fetch(url, { signal: abortSignal() }))` works. Outside every scope it
 * never aborts. Not a wait. Prefer `cancellable`, which also stops waiting at once.
 */
export function abortSignal(): AbortSignal {
  const scope = here();
  const known = signals.get(scope);
  if (known !== undefined) return known;
  const aborting = new Aborting(scope);
  const { controller } = aborting;
  signals.set(scope, controller.signal);
  const interruption = scope.peekDue();
  if (interruption !== undefined) {
    guardAbandonedBranches();
    controller.abort(new CancelledError(interruption));
  } else scope.watch({ cancelled: (cancellation) => aborting.abort(cancellation) });
  return controller.signal;
}
