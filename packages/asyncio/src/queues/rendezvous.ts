/**
 * A queue that holds nothing: an item goes from the hand of one task into that of another, in the
 * call of whoever comes second. Fair on both sides.
 *
 * Invariant: putters and getters never wait at the same time. A `select` that could do both stands
 * in both lines and meets others only, for it tries before it stands in any.
 */

import { checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Got, type Operation, operation, type Selectable } from "../kernel/selectable.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import { QueueShutDown } from "./errors.ts";

/** What `new Rendezvous` takes. */
export interface RendezvousOptions {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
}

const KNOWN: Names<RendezvousOptions> = { name: "string" };
const SHUTDOWN: Names<{ cause?: unknown }> = { cause: 1 };

/**
 * A queue that holds nothing: `put` returns when somebody has taken the item. Source: channels of
 * Trio and Go without a buffer.
 *
 * @example
 * const rendezvous = new asyncio.Rendezvous<string>();
 * const [, item] = await asyncio.gather(
 *   () => rendezvous.put("by hand"),
 *   () => rendezvous.get(),
 * );
 * assert.equal(item, "by hand");
 */
export class Rendezvous<T> {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #getters: WaitList = new WaitList();
  readonly #putters: WaitList = new WaitList();
  readonly #getSubject: WaitSubject = { describeWait: () => `${this.#describe()}.get` };
  readonly #putSubject: WaitSubject = { describeWait: () => `${this.#describe()}.put` };
  #end: { readonly cause: unknown } | undefined = undefined;

  constructor(options?: RendezvousOptions) {
    checkOptions("`new Rendezvous`", options, KNOWN);
    this.name = options?.name;
  }

  /**
   * Gives the item to whoever has waited longest; waits while nobody does. Cancelled while it
   * waits, it has given nothing. Rejects with QueueShutDown when it is shut down.
   */
  put(item: T): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.#putSubject);
    if (stop !== undefined) return stop;
    if (this.#end !== undefined) return refused(scope, this.#putSubject, this.#endOf("put"));
    if (this.#getters.resumeFirst(item)) return completed(scope, this.#putSubject, undefined);
    const wait = park<void>(scope, this.#putSubject);
    wait.offer = item;
    this.#putters.add(wait);
    return wait.promise;
  }

  /**
   * Takes the item of whoever has waited longest to give one; waits while nobody does. Cancelled
   * while it waits, it has taken nothing. Rejects with QueueShutDown, or with the cause, when it is
   * shut down.
   */
  get(): Promise<Awaited<T>> {
    const scope = here();
    const stop = scope.interruption(this.#getSubject);
    if (stop !== undefined) return stop;
    if (this.#end !== undefined) return refused(scope, this.#getSubject, this.#endOf("get"));
    const got = this.#take();
    if (got !== undefined) return completed(scope, this.#getSubject, got.value as Awaited<T>); // resolving awaits it
    const wait = park<Awaited<T>>(scope, this.#getSubject);
    wait.handsOver = true;
    this.#getters.add(wait);
    return wait.promise;
  }

  /**
   * Ends it: who waits, and who comes, gets a QueueShutDown. With a `cause` getters get that, as it
   * is, and putters have it as the cause of theirs.
   */
  shutdown(options?: { cause?: unknown }): void {
    checkOptions("`rendezvous.shutdown`", options, SHUTDOWN);
    this.#end ??= { cause: options?.cause };
    this.#putters.failAll(() => this.#endOf("put"));
    this.#getters.failAll(() => this.#endOf("get"));
  }

  /** How many tasks wait on either side. */
  statistics(): Readonly<{ getting: number; putting: number }> {
    return Object.freeze({ getting: this.#getters.length, putting: this.#putters.length });
  }

  /** Items as they come; ends when it is shut down, or throws the cause. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Awaited<T>> {
    const next = async (): Promise<IteratorResult<Awaited<T>, undefined>> => {
      try {
        return { done: false, value: await this.get() };
      } catch (error) {
        if (!this.#isEnd(error)) throw error;
        return { done: true, value: undefined };
      }
    };
    return { next, [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() };
  }

  /** @internal For `select`: `get`. */
  [operation](): Operation<T> {
    return {
      subject: this.#getSubject,
      attempt: () => {
        if (this.#end !== undefined) throw this.#endOf("get");
        return this.#take();
      },
      enlist: (place) => this.#getters.add(place),
    };
  }

  /** @internal */
  putOperation(item: T): Operation<undefined> {
    return {
      subject: this.#putSubject,
      attempt: () => {
        if (this.#end !== undefined) throw this.#endOf("put");
        return this.#getters.resumeFirst(item) && { value: undefined };
      },
      enlist: (place) => {
        place.offer = item;
        this.#putters.add(place);
      },
    };
  }

  /** @internal */
  nextOperation(): Operation<IteratorResult<T, undefined>> {
    const end = { value: { done: true, value: undefined } } as const;
    return {
      subject: this.#getSubject,
      attempt: () => {
        if (this.#end !== undefined && this.#end.cause === undefined) return end;
        if (this.#end !== undefined) throw this.#end.cause;
        const got = this.#take();
        return got && { value: { done: false, value: got.value } };
      },
      enlist: (place) => this.#getters.add(place),
      convert: (value) => ({ done: false, value: value as T }), // of a putter
      recover: (error) => (this.#isEnd(error) ? end : undefined),
    };
  }

  #take(): Got<T> | undefined {
    const putter = this.#putters.first;
    if (putter === undefined) return undefined;
    const value = putter.offer as T; // left there by `put`
    putter.resume(undefined);
    return { value };
  }

  #endOf(call: "put" | "get"): unknown {
    const cause = this.#end?.cause;
    if (cause !== undefined && call === "get") return cause;
    const message = `\`${call}\` was called on ${this.#describe()}, which is shut down`;
    return new QueueShutDown(message, cause === undefined ? undefined : { cause });
  }

  #isEnd(error: unknown): boolean {
    return error instanceof QueueShutDown && this.#end !== undefined && this.#end.cause !== error;
  }

  #describe(): string {
    return this.name === undefined ? "a Rendezvous" : `Rendezvous ${JSON.stringify(this.name)}`;
  }
}

export interface Rendezvous<T> extends Selectable<T> {}
