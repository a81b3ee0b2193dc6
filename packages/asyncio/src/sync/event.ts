/** Events: a flag that tasks can wait for. */

import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Operation, operation, type Selectable } from "../kernel/selectable.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import { checkSyncOptions, describeSync, type SyncOptions } from "./lock.ts";

/**
 * A flag that is set or not. `set` wakes everyone who waits, also if it is cleared before they run.
 * Source: asyncio.Event.
 *
 * @example
 * const ready = new asyncio.Event({ name: "ready" });
 * const task = asyncio.createTask(() => ready.wait());
 * ready.set();
 * assert.equal(await task, true);
 */
export class Event {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #waiters: WaitList = new WaitList();
  readonly #subject: WaitSubject = {
    describeWait: () => describeSync("Event", this.name),
  };
  #isSet = false;

  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: one for good, as in scope.ts
  static readonly #kept: Event = /* @__PURE__ */ new Event();

  constructor(options?: SyncOptions) {
    checkSyncOptions("Event", options);
    this.name = options?.name;
  }

  /** True from `set` on, until `clear`. */
  isSet(): boolean {
    return this.#isSet;
  }

  /** Sets the flag and wakes everyone who waits for it, in the order in which they came. */
  set(): void {
    this.#isSet = true;
    this.#waiters.resumeAll(true);
  }

  /** Takes `set` back: who waits from now on waits for the next one. */
  clear(): void {
    this.#isSet = false;
  }

  /** Whether it is set, and how many wait for it. */
  statistics(): Readonly<{ set: boolean; waiting: number }> {
    return Object.freeze({ set: this.#isSet, waiting: this.#waiters.length });
  }

  /** @internal For `select`: `wait`. */
  [operation](): Operation<true> {
    return {
      subject: this.#subject,
      attempt: () => (this.#isSet ? { value: true } : undefined),
      enlist: (place) => this.#waiters.add(place),
    };
  }

  /** Waits until the flag is set; at once if it is. Gives true. */
  wait(): Promise<true> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (this.#isSet) return completed<true>(scope, this.#subject, true);
    const wait = park<true>(scope, this.#subject);
    this.#waiters.add(wait);
    return wait.promise;
  }
}

export interface Event extends Selectable<true> {}
