// A host for loops under test: its clock jumps, and each of its microtasks comes up to three
// microtasks late, as it does when bodies, awaits and foreign promises are nested in other ways
// than the author of a test thought of.

import type { Host, HostTimer } from "../src/kernel/host.ts";
import { realHost } from "../src/kernel/host.ts";

export class HoppingHost implements Host {
  /**
   * Half of them let a step happen in the call, as the real host does; there it is the bodies that
   * hop.
   */
  readonly stepsAtOnce: boolean;
  readonly #draw: (count: number) => number;
  #now = 0;

  constructor(draw: (count: number) => number) {
    this.#draw = draw;
    this.stepsAtOnce = draw(2) === 1;
  }

  now(): number {
    return this.#now;
  }

  microtask(run: () => void): void {
    void this.hop().then(run);
  }

  /** Waits 0 to 3 microtasks. */
  async hop(): Promise<void> {
    for (let hops = this.#draw(4); hops > 0; hops--) await null;
  }

  afterMicrotasks(run: () => void): void {
    realHost.afterMicrotasks(run);
  }

  macrotask(run: () => void): void {
    realHost.macrotask(run);
  }

  /**
   * Fires in a macrotask, when everything that is ready has run; an unrefed timer waits until it is
   * refed.
   */
  setTimer(when: number, run: () => void): HostTimer {
    let isRefed = true;
    let isPending = true;
    const fire = (): void => {
      if (!isPending || !isRefed || when === Number.POSITIVE_INFINITY) return;
      isPending = false;
      this.#now = Math.max(this.#now, when);
      run();
    };
    // Behind the macrotasks that drains wait for, of which several may follow one another.
    const arm = (turns = 6): void => realHost.macrotask(turns === 0 ? fire : () => arm(turns - 1));
    arm();
    return {
      ref: () => {
        isRefed = true;
        arm();
      },
      unref: () => {
        isRefed = false;
      },
      clear: () => {
        isPending = false;
      },
    };
  }

  onDry(): () => void {
    return () => {};
  }

  report(text: string): void {
    realHost.report(text);
  }
}

/**
 * A random but repeatable whole number below `count`: a linear congruential generator, its high
 * bits.
 */
export function drawer(seed: number): (count: number) => number {
  let state = (seed * 2_654_435_761) >>> 0;
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
}
