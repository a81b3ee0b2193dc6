/**
 * Gates: promises that a step of the loop opens. What waits at a gate goes on in its turn in the ready queue, in the async
 * context in which it began to wait: that is how tasks start, callbacks are called and signals abort.
 */

import type { Ready } from "./loop.ts";
import type { Scope } from "./scope.ts";

const ignore = (): void => {};
let openNew: () => void = ignore;
const captureOpen = (open: () => void): void => {
  openNew = open;
};

export class Gate implements Ready {
  readonly scope: Scope;
  readonly promise: Promise<void>;
  readonly #open: () => void;

  constructor(scope: Scope) {
    this.scope = scope;
    this.promise = new Promise(captureOpen);
    this.#open = openNew;
    openNew = ignore; // it would keep the last promise, and what waits for it, alive
  }

  step(): void {
    this.#open();
  }
}
