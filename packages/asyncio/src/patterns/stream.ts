/**
 * Streams of values: items over time, and what is made of them. A stream is cold: it is a body that
 * is run anew for each loop, as a task of that loop (stream-run.ts). An operator is a body that
 * runs the one before it, in a task group where it has to do two things at a time.
 */

import {
  advice,
  argumentError,
  checkCount,
  checkSeconds,
  InvalidStateError,
} from "../errors/errors.ts";
import { here, recognised } from "../kernel/operation.ts";
import { Queue } from "../queues/queue.ts";
import { Rendezvous } from "../queues/rendezvous.ts";
import { next, select } from "../tasks/select.ts";
import { sleep } from "../tasks/sleep.ts";
import { isAsyncIterable, isIterable, Source } from "../tasks/source.ts";
import { taskGroup } from "../tasks/task-group.ts";
import { checkFunction, countOr0, settle } from "./settings.ts";
import { type Body, type Emit, Run } from "./stream-run.ts";

/** What items can be read from. */
export type Items<T> = Iterable<T> | AsyncIterable<T>;

/** What `stream` takes. */
export interface StreamOptions {
  /** How many items are read before they are asked for. @default 0 */
  readonly ahead?: number | undefined;
}

/**
 * Makes a stream of what can be iterated, or of a generator function. That runs as a task of each
 * loop over the stream: it can be cancelled wherever it waits, does a step only when an item is
 * asked for, and has ended, its `finally` blocks included, when the loop has. Sources: Kotlin's
 * Flow, Trio's `as_safe_channel`. A generator that
 * yields while a scope is open in it fails with an InvalidStateError.
 *
 * @example
 * const ticks = patterns.stream(async function* () {
 *   for (let tick = 0; ; tick++) {
 *     yield tick;
 *     await asyncio.sleep(0.001);
 *   }
 * });
 * assert.deepEqual(await ticks.map((tick) => tick * 2).take(3).toArray(), [0, 2, 4]);
 */
export function stream<T>(
  source: Items<T> | (() => AsyncGenerator<T, unknown, undefined>),
  options?: StreamOptions,
): Stream<T> {
  const { ahead } = settle("`stream`", options, { ahead: [countOr0, 0] });
  const made = new Stream<T>(bodyOf("`stream`", source));
  return ahead === 0 ? made : made.buffer(ahead);
}

/**
 * Items over time. Cold: each `for await` runs it anew, in tasks that belong to that loop. Leaving
 * the loop, by `break`, by a failure or by a cancellation, cancels them and waits until they have
 * ended. A failure comes after the items before it, as it is.
 *
 * @example
 * const words = patterns.stream(["one", "two", "three"]);
 * assert.deepEqual(await words.filter((word) => word.length > 3).toArray(), ["three"]);
 */
export class Stream<T> implements AsyncIterable<T> {
  readonly #body: Body<T>;

  /** @internal */
  constructor(body: Body<T>) {
    this.#body = body;
  }

  /** Runs it: the first `next` starts it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return new Run(this.#body);
  }

  /** What `fn(item, index)` makes of each item, one after the other. */
  map<R>(fn: (item: T, index: number) => R): Stream<Awaited<R>> {
    checkFunction("`stream.map`", "a function of an item", fn);
    return new Stream(async (emit) => {
      let index = 0;
      await this.#body(async (item) => await emit(await fn(item, index++)));
    });
  }

  /** The items for which `predicate` holds. */
  filter<S extends T>(predicate: (item: T) => item is S): Stream<S>;
  filter(predicate: (item: T) => boolean | PromiseLike<boolean>): Stream<T>;
  filter(predicate: (item: T) => boolean | PromiseLike<boolean>): Stream<T> {
    checkFunction("`stream.filter`", "a function of an item", predicate);
    return new Stream(async (emit) => {
      await this.#body(async (item) => {
        if (await predicate(item)) await emit(item);
      });
    });
  }

  /** The first `count` items. 0 reads nothing. */
  take(count: number): Stream<T> {
    checkCount("`stream.take`", "a number of items", count, 0);
    return new Stream(async (emit) => {
      if (count === 0) return;
      const enough = new Error("a stream has given as many items as were wanted");
      let left = count;
      try {
        await this.#body(async (item) => {
          await emit(item);
          if (--left === 0) throw enough; // ends what is before it as a failure would
        });
      } catch (error) {
        if (error !== enough) throw error;
      }
    });
  }

  /** The items of all, as they come. Ends when all have; the first failure cancels the others. */
  merge<U>(...others: Items<U>[]): Stream<T | U> {
    const bodies: Body<T | U>[] = [
      this.#body as Body<T | U>, // it emits Ts
      ...others.map((other) => bodyOf<T | U>("`stream.merge`", other)),
    ];
    return new Stream(async (emit) => {
      const start = (group: { createTask(body: () => Promise<void>): unknown }): void => {
        for (const body of bodies) group.createTask(() => body(emit));
      };
      await taskGroup(start, { onError: "bare" });
    });
  }

  /** Reads up to `count` items before they are asked for. */
  buffer(count: number): Stream<T> {
    checkCount("`stream.buffer`", "a number of items", count, 1);
    const maxsize = count === Number.POSITIVE_INFINITY ? 0 : count;
    return new Stream(async (emit) => {
      const queue = new Queue<{ item: T }>(maxsize);
      await alongside(this.#body, queue, async () => {
        for await (const { item } of queue) await emit(item);
      });
    });
  }

  /** Each item after which nothing came for `seconds`. The last one comes out at the end. */
  debounce(seconds: number): Stream<T> {
    checkSeconds("`stream.debounce`", "a number of seconds", seconds);
    return new Stream((emit) => holding(this.#body, emit, () => seconds));
  }

  /**
   * At most one item in `seconds`: the first at once, then the latest that came meanwhile, when the
   * time is over.
   */
  throttle(seconds: number): Stream<T> {
    checkSeconds("`stream.throttle`", "a number of seconds", seconds);
    return new Stream((emit) => {
      const { loop } = here();
      let opensAt = Number.NEGATIVE_INFINITY;
      const given = (): void => {
        opensAt = loop.time() + seconds;
      };
      return holding(this.#body, emit, () => opensAt - loop.time(), given);
    });
  }

  /** Waits until it has ended, and gives all items. */
  async toArray(): Promise<T[]> {
    const items: T[] = [];
    for await (const item of this) items.push(item);
    return items;
  }
}

/**
 * Runs `body` in a task beside `consume`, which gets its items through `between`. A failure of the
 * body comes out when `consume` has seen the items before it.
 */
async function alongside<T>(
  body: Body<T>,
  between: Queue<{ item: T }> | Rendezvous<{ item: T }>,
  consume: () => Promise<void>,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  await taskGroup(
    async (group) => {
      group.createTask(async () => {
        try {
          await body((item) => between.put({ item })); // boxed: nobody awaits an item
        } catch (error) {
          if (here().owns(recognised(error, here(), true))) throw error;
          failure = { error };
        } finally {
          between.shutdown();
        }
      });
      await consume();
      if (failure !== undefined) throw failure.error;
    },
    { onError: "bare" },
  );
}

/**
 * Holds the latest item back for `delay` seconds, and gives it then. Calls `given` before that; the
 * last one has to wait as well if there is one.
 */
async function holding<T>(
  body: Body<T>,
  emit: Emit<T>,
  delay: () => number,
  given?: () => void,
): Promise<void> {
  const items = new Rendezvous<{ item: T }>();
  await alongside(body, items, async () => {
    for (let held: { item: T } | undefined; ; ) {
      const due = held === undefined ? undefined : delay();
      const [which, step] = await select({ step: next(items), due });
      if (which === "step" && step.done !== true) held = step.value;
      else {
        if (which === "step" && held !== undefined && given !== undefined) await sleep(delay());
        const last = held;
        held = undefined;
        given?.();
        if (last !== undefined) await emit(last.item);
        if (which === "step") return;
      }
    }
  });
}

/** What reads `source` to its end, and closes it on every path. */
function bodyOf<T>(
  api: string,
  source: Items<T> | (() => AsyncGenerator<T, unknown, undefined>),
): Body<T> {
  if (source instanceof Stream)
    return async (emit) => {
      for await (const item of source) await emit(item);
    };
  const isFunction = typeof source === "function";
  if (!isFunction && !isAsyncIterable(source) && !isIterable(source)) {
    const cure = advice("Wrap a single value: `stream([value])`");
    const expected = "an iterable, an async iterable or a generator function";
    throw argumentError(api, expected, source, cure);
  }
  return async (emit) => {
    const scope = here();
    const items = new Source<T>(isFunction ? source() : source, undefined, "stream");
    try {
      for (;;) {
        const step = items.isAsync ? await items.next(scope) : items.nextNow();
        if (step.done === true) return;
        if (isFunction) checkClosed(scope.nested?.first?.label);
        await emit(step.value);
      }
    } finally {
      if (items.isOpen) await items.close(scope);
    }
  };
}

/**
 * A generator that yields while a scope is open in it would have two owners at a time: whoever
 * waits for the item may leave, and what runs in that scope is cut off.
 */
function checkClosed(label: string | undefined): void {
  if (label === undefined) return;
  const what = `the generator of a stream has yielded while a scope was open in it: ${label}`;
  throw new InvalidStateError(`${what}${advice("Await what you have begun before `yield`")}`);
}
