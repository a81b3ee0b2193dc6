/**
 * Abort signals from outside. A signal cancels scopes; whatever their number, it has one listener
 * of ours, for adding the 20,000th listener to one signal takes the host tens of microseconds.
 * Inside the library nothing listens to signals: cancellation is a walk over scopes. Signals that
 * scopes hand out are in interop/abort-signal.ts.
 */

import { argumentError } from "../errors/errors.ts";

/** What a signal cancels: a scope, a task group. */
export interface AbortTarget {
  cancel(reason: unknown, source: "abort"): void;
}

/** A target that listens to a signal, until it is released. */
export interface AbortBinding {
  release(): void;
}

/** The one listener on a signal, and what it cancels. */
class SignalListener {
  readonly #signal: AbortSignal;
  readonly #targets: Set<AbortTarget> = new Set();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(target: AbortTarget): AbortBinding {
    if (this.#targets.size === 0) this.#signal.addEventListener("abort", this.#aborted);
    this.#targets.add(target);
    return { release: () => this.#remove(target) };
  }

  #remove(target: AbortTarget): void {
    if (!this.#targets.delete(target) || this.#targets.size > 0) return;
    this.#signal.removeEventListener("abort", this.#aborted);
    listeners.delete(this.#signal);
  }

  readonly #aborted = (): void => {
    for (const target of [...this.#targets]) {
      this.#remove(target);
      target.cancel(this.#signal.reason, "abort");
    }
  };
}

const listeners: WeakMap<AbortSignal, SignalListener> = new WeakMap();

/**
 * Cancels `target` when `signal` aborts; the caller releases the binding when the target has ended,
 * on every path.
 */
export function bindSignal(
  target: AbortTarget,
  signal: AbortSignal | undefined,
): AbortBinding | undefined {
  if (signal === undefined) return undefined;
  let listener = listeners.get(signal);
  if (listener === undefined) {
    listener = new SignalListener(signal);
    listeners.set(signal, listener);
  }
  return listener.add(target);
}

/** @throws TypeError unless `signal` is undefined or an AbortSignal. */
export function checkSignalType(api: string, signal: AbortSignal | undefined): void {
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    throw argumentError(api, "`signal` to be an AbortSignal", signal);
}

/** As `checkSignalType`. @throws its reason if it has aborted already. */
export function checkSignal(api: string, signal: AbortSignal | undefined): void {
  checkSignalType(api, signal);
  if (signal?.aborted) throw signal.reason;
}
