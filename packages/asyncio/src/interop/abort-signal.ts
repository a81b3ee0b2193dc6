/**
 * Abort signals for foreign work. Each scope has one, made when it is first asked for. It aborts from the ready queue, in
 * the scope that it belongs to: its listeners are user code, which never runs in the context of whoever cancels.
 */

import { CancelledError } from "../kernel/errors.ts";
import { here, type Ready } from "../kernel/loop.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Cancellation } from "../kernel/wait.ts";

/**
 * A controller that is aborted by a step of the loop. The abort is the reaction of a promise made here, so its listeners
 * run in the async context of whoever made the signal, with all stores.
 */
export class AbortStep implements Ready {
  readonly scope: Scope;
  readonly controller: AbortController = new AbortController();
  readonly #open: () => void;
  #reason: CancelledError | undefined = undefined;

  constructor(scope: Scope) {
    this.scope = scope;
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#open = open;
    gate.then(() => this.controller.abort(this.#reason));
  }

  /** Aborts with the CancelledError of `cancellation`, in its turn; only the first time. */
  abort(cancellation: Cancellation): void {
    if (this.#reason !== undefined) return;
    this.#reason = new CancelledError(cancellation);
    this.scope.loop.enqueue(this);
  }

  step(): void {
    this.#open();
  }
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
  const step = new AbortStep(scope);
  const { controller } = step;
  signals.set(scope, controller.signal);
  const interruption = scope.peekInterruption();
  if (interruption !== undefined) controller.abort(new CancelledError(interruption));
  else scope.addCancelHook((cancellation) => step.abort(cancellation));
  return controller.signal;
}
