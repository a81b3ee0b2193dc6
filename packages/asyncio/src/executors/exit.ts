/** The end of a worker, for those who wait for it. */

import { realHost } from "../kernel/host.ts";

export class Exit {
  #isOver = false;
  readonly #tells: (() => void)[] = [];

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Calls `tell` when the worker has gone; never if it has already. */
  listen(tell: () => void): void {
    this.#tells.push(tell);
  }

  /** It has gone; false if that was known. */
  over(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    for (const tell of this.#tells.splice(0)) tell();
    return true;
  }

  /** Ends the worker by `kill`: true when it has gone, false if it has not after `seconds`. */
  async force(kill: () => void, seconds: number): Promise<boolean> {
    if (this.#isOver) return true;
    return new Promise((resolve) => {
      const timer = realHost.setTimer(realHost.now() + seconds, () => resolve(false));
      this.listen(() => {
        timer.clear();
        resolve(true);
      });
      kill();
    });
  }
}
