/**
 * A value whose changes can be followed. Each follower keeps the number of the last change that it
 * has seen, so nothing is stored for it: one that is slow sees the latest value, and never a list
 * of old ones.
 */

import { InvalidStateError } from "../errors/errors.ts";
import { type Operation, operation, type Selectable } from "../kernel/selectable.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import { checkVerdict, describeSync, type SyncOptions } from "../sync/lock.ts";
import { EndOfChannel } from "./channel-errors.ts";
import { iterate, perform } from "./perform.ts";
import { callback, checkFunction, settle } from "./settings.ts";

/** What `new Watch` takes. */
export interface WatchOptions<T> extends SyncOptions {
  /**
   * Whether two values are the same, so that setting one after the other changes nothing.
   * @default Object.is
   */
  readonly equals?: ((before: T, now: T) => boolean) | undefined;
}

/**
 * A value whose changes can be followed: a state, a configuration, a progress. Whoever is slow sees
 * the latest value only. Sources: StateFlow of Kotlin, `watch` of Tokio.
 *
 * @example
 * const state = new patterns.Watch<"down" | "up">("down");
 * const waiting = asyncio.createTask(() => state.until((value) => value === "up"));
 * await asyncio.sleep(0);
 * state.value = "up";
 * assert.equal(await waiting, "up");
 */
export class Watch<T> implements AsyncIterable<T>, Disposable {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #equals: (before: T, now: T) => boolean;
  readonly #followers: WaitList = new WaitList();
  readonly #subject: WaitSubject = {
    describeWait: () => `${describeSync("Watch", this.name)} to change`,
  };
  #value: T;
  /** How often it has changed. */
  #changes = 0;
  /** What those get who wait for a change; undefined while it is open. */
  #end: { readonly cause: unknown } | undefined = undefined;

  constructor(value: T, options?: WatchOptions<T>) {
    const rules = { name: "string", equals: [callback, Object.is] } as const;
    const { name, equals } = settle("`new Watch`", options, rules);
    this.#value = value;
    this.#equals = equals;
    this.name = name;
  }

  /** The present value. Setting another one wakes all followers, first come, first served. */
  get value(): T {
    return this.#value;
  }

  /** @throws InvalidStateError once it is closed. */
  set value(value: T) {
    if (this.#end !== undefined)
      throw new InvalidStateError(
        `${describeSync("Watch", this.name)} is closed: its value cannot be set any more`,
      );
    if (this.#equals(this.#value, value)) return;
    this.#value = value;
    this.#changes++;
    this.#followers.resumeAll(value);
  }

  /** Sets what `change` makes of the present value. @throws InvalidStateError once it is closed. */
  update(change: (value: T) => T): void {
    checkFunction("`watch.update`", "a function of the value", change);
    this.value = change(this.#value);
  }

  /**
   * Waits for a value that `predicate` holds for, and gives it; at once if it holds for the present
   * one. It is asked in the task that waits, for the latest value only. Rejects with EndOfChannel,
   * or the cause, when the watch is closed.
   */
  until<S extends T>(predicate: (value: T) => value is S): Promise<S>;
  until(predicate: (value: T) => boolean): Promise<T>;
  async until(predicate: (value: T) => boolean): Promise<T> {
    checkFunction("`watch.until`", "a function of the value", predicate);
    const take = this.#follow();
    for (;;) {
      const value = await take();
      if (checkVerdict("`watch.until`", predicate(value))) return value;
    }
  }

  /** The case of a `select`: the next value that is set after this call. */
  changed(): Selectable<T> {
    const seen = this.#changes;
    return { [operation]: () => this.#changeAfter(seen) };
  }

  /**
   * The present value, then each change, the latest one where several came meanwhile. Ends when the
   * watch is closed, or throws the cause.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    const isEnd = (error: unknown): boolean =>
      error instanceof EndOfChannel && this.#end?.cause === undefined;
    return iterate(this.#follow(), isEnd);
  }

  /**
   * Ends it: the value stays, and those who wait for another one, or begin to, get `cause`, as it
   * is, else an EndOfChannel. Loops over it end.
   */
  close(cause?: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { cause };
    this.#followers.failAll(() => this.#endError());
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** How many tasks wait for a change, and how many changes there were. */
  statistics(): Readonly<{ waiting: number; changes: number; closed: boolean }> {
    return Object.freeze({
      waiting: this.#followers.length,
      changes: this.#changes,
      closed: this.#end !== undefined,
    });
  }

  /** What waits for the next value, one after the other: the present one first. */
  #follow(): () => Promise<T> {
    let seen = -1;
    return async () => {
      await perform(this.#changeAfter(seen));
      seen = this.#changes;
      return this.#value;
    };
  }

  #changeAfter(seen: number): Operation<T> {
    return {
      subject: this.#subject,
      attempt: () => {
        if (this.#changes !== seen) return { value: this.#value };
        if (this.#end !== undefined) throw this.#endError();
        return undefined;
      },
      enlist: (place) => this.#followers.add(place),
    };
  }

  #endError(): unknown {
    const cause = this.#end?.cause;
    if (cause !== undefined) return cause;
    return new EndOfChannel(`${describeSync("Watch", this.name)} is closed: no change will come`);
  }
}
