/**
 * Abort signals for foreign work. Each scope has one, made when it is first asked for. It aborts from the ready queue, in
 * the scope that it belongs to: its listeners are user code, which never runs in the context of whoever cancels.
 */

import { runInScope } from "../kernel/context.ts";
import { CancelledError } from "../kernel/errors.ts";
import { here, type Ready } from "../kernel/loop.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Cancellation } from "../kernel/wait.ts";

/** Aborts a controller in its turn. */
export class AbortStep implements Ready {
  readonly scope: Scope;
  readonly controller: AbortController;
  readonly #reason: unknown;

  constructor(scope: Scope, controller: AbortController, cancellation: Cancellation) {
    this.scope = scope;
    this.controller = controller;
    this.#reason = new CancelledError(cancellation);
  }

  step(): void {
    runInScope(this.scope, abort, this);
  }

  get reason(): unknown {
    return this.#reason;
  }
}

function abort(step: AbortStep): void {
  step.controller.abort(step.reason);
}

const signals: WeakMap<Scope, AbortSignal> = new WeakMap();

/**
 * A signal that aborts when the current scope is cancelled, with the CancelledError as its reason; one per scope, made
 * on first use. A scope that ends normally does not abort it: `res.json()` after `timeout(5, () => fetch(url, {
 * signal: abortSignal() }))` works. Outside every scope it never aborts. Not a wait. Prefer `cancellable`, which also
 * stops waiting at once.
 */
export function abortSignal(): AbortSignal {
  const scope = here();
  const known = signals.get(scope);
  if (known !== undefined) return known;
  const controller = new AbortController();
  signals.set(scope, controller.signal);
  const interruption = scope.peekInterruption();
  if (interruption !== undefined) controller.abort(new CancelledError(interruption));
  else
    scope.addCancelHook((cancellation) =>
      scope.loop.enqueue(new AbortStep(scope, controller, cancellation)),
    );
  return controller.signal;
}
