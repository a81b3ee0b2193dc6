/**
 * Where a map gets its items: a foreign iterable. It may be silent for ever, and it can be left all
 * the same.
 *
 * A reader that is cancelled while the source waits in an operation of ours waits on: the source
 * hears of the cancellation itself, and may clean up. One whose source sits in a foreign await
 * leaves at once, and closing sees to the rest: streams are destroyed, everything else is asked to
 * return, and has as long as a grace period to answer.
 */

import { advice, argumentError, CancelledError } from "../errors/errors.ts";
import { isThenable } from "../errors/render.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { ignore } from "../kernel/settlers.ts";
import type { Wait } from "../kernel/wait.ts";
import { formatSeconds, type TimerTarget } from "../structures/timers.ts";

type Step<T> = IteratorResult<T>;

/**
 * Seconds that a source has at least: also on a loop without a grace period a stream needs a moment
 * to close.
 */
const LEAST_SECONDS = 0.1;

export class Source<T> {
  /** True if it gives its items as promises. */
  readonly isAsync: boolean;
  /** True if it is to be told that nobody reads on. */
  isOpen = true;
  readonly #items: Iterable<T> | AsyncIterable<T>;
  readonly #iterator: Iterator<T> | AsyncIterator<T>;
  /** The answer that was not waited for, until it comes. */
  #unanswered: PromiseLike<unknown> | undefined = undefined;
  readonly #createdAt: string | undefined;
  /** What reads it, and what that waits for. */
  readonly #reader: string;
  readonly #item: string;

  /** Throws what the iterable throws. `createdAt` is where the map was made, if that is known. */
  constructor(
    items: Iterable<T> | AsyncIterable<T>,
    createdAt: string | undefined,
    reader = "mapConcurrent",
  ) {
    this.#reader = reader;
    this.#item = `an item of the source of ${reader}`;
    this.#items = items;
    this.#createdAt = createdAt;
    this.isAsync = isAsyncIterable(items);
    if (!this.isAsync && !isIterable(items))
      throw argumentError(`\`${reader}\``, "a function that gives an iterable", items);
    this.#iterator = iteratorOf(items);
  }

  /** The next item of a source that is not asynchronous. */
  nextNow(): Step<T> {
    try {
      return this.#took(this.#iterator.next() as Step<T>); // not asynchronous
    } catch (error) {
      this.isOpen = false; // iterables that fail have ended
      throw error;
    }
  }

  /**
   * Waits for the next item. Cancelled, it waits for sources that hear of it themselves, and leaves
   * the others at once.
   */
  async next(scope: Scope): Promise<Step<T>> {
    const stop = scope.interruption(this.#item);
    if (stop !== undefined) await stop;
    try {
      const answer = this.#iterator.next();
      return this.#took(isThenable(answer) ? await this.#answer(scope, answer) : answer);
    } catch (error) {
      if (!(error instanceof CancelledError)) this.isOpen = false;
      throw error;
    }
  }

  #took(step: Step<T>): Step<T> {
    if (step.done === true) this.isOpen = false;
    return step;
  }

  #answer(scope: Scope, answer: PromiseLike<Step<T>>): Promise<Step<T>> {
    const wait = park<Step<T>>(scope, this.#item, (_wait, { scope: cancelled }) => {
      const isHeard = cancelled.cancelState.undelivered > 0 || waitsElsewhere(scope);
      if (!isHeard) this.#unanswered = answer;
      return !isHeard;
    });
    wait.isForeign = true;
    answer.then(
      (step) => {
        this.#unanswered = undefined;
        wait.resume(step);
      },
      (error) => {
        this.#unanswered = undefined;
        failed(wait, error);
      },
    );
    return wait.promise;
  }

  /**
   * Tells the source that it is not read any more, and waits until it has answered; at most for a
   * grace period, unless it waits in operations of ours. Those are cancelled then.
   */
  async close(scope: Scope): Promise<void> {
    this.isOpen = false;
    const unanswered = this.#unanswered?.then(ignore, ignore);
    if (unanswered !== undefined) destroy(this.#items);
    const returned = this.#iterator.return?.();
    const { loop } = scope;
    const seconds = Math.max(loop.cancelGrace, LEAST_SECONDS);
    const hasAnswered = await within(scope, seconds, Promise.all([unanswered, returned]));
    if (hasAnswered) return;
    destroy(this.#items);
    loop.callExceptionHandler({
      message: `the source of \`${this.#reader}\` has not answered ${formatSeconds(seconds)} after it was told to close, and was left alone: what it holds may stay open${advice("Wrap what it waits for in `cancellable`")}`,
      task: scope.task,
      sourceTraceback: this.#createdAt,
    });
  }
}

export function isAsyncIterable<T>(
  items: Iterable<T> | AsyncIterable<T>,
): items is AsyncIterable<T> {
  const source = items as Partial<AsyncIterable<T>> | null | undefined;
  return typeof source?.[Symbol.asyncIterator] === "function" || isWebStream(items);
}

export function isIterable(items: unknown): boolean {
  const source = items as Partial<Iterable<unknown>> | null | undefined;
  return typeof source?.[Symbol.iterator] === "function";
}

interface WebStream<T> {
  getReader(): {
    read(): Promise<{ done: boolean; value?: T }>;
    cancel(): Promise<void>;
    releaseLock(): void;
  };
}

function isWebStream(items: unknown): items is WebStream<never> {
  return typeof (items as Partial<WebStream<never>> | null | undefined)?.getReader === "function";
}

function iteratorOf<T>(items: Iterable<T> | AsyncIterable<T>): Iterator<T> | AsyncIterator<T> {
  if (isWebStream(items)) return readerOf<T>(items);
  return isAsyncIterable(items) ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}

/** By hand: the iterator of a web stream returns only when a read that is under way has ended. */
function readerOf<T>(stream: WebStream<T>): AsyncIterator<T> {
  const reader = stream.getReader();
  return {
    async next(): Promise<Step<T>> {
      const { done, value } = await reader.read();
      if (done) reader.releaseLock();
      return { done, value: value as T }; // there is one, unless it is done
    },
    async return(): Promise<Step<T>> {
      await reader.cancel();
      reader.releaseLock();
      return { done: true, value: undefined };
    },
  };
}

/** Node's streams answer `return` only when they have given an item. */
function destroy(items: unknown): void {
  const { destroy } = items as { destroy?: unknown };
  if (typeof destroy === "function") destroy.call(items);
}

/**
 * Whether anything else waits in `scope`, whose own wait is parked there: an operation of ours that
 * the source began.
 */
function waitsElsewhere(scope: Scope): boolean {
  return scope.parkedWaits(2).length > 1;
}

/**
 * Ends `wait` with a failure. One that comes too late, and is no answer to being closed, is
 * reported.
 */
function failed(wait: Pick<Wait, "scope" | "fail">, exception: unknown): void {
  if (wait.fail(exception) || isAnswerToClose(exception)) return;
  const message = "the source of `mapConcurrent` has failed after nobody read from it any more";
  wait.scope.loop.callExceptionHandler({ message, exception });
}

function isAnswerToClose(error: unknown): boolean {
  if (error instanceof CancelledError) return true;
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return name === "AbortError" || code === "ERR_STREAM_PREMATURE_CLOSE";
}

/**
 * Waits for `answer`; false if it did not come within `seconds`, and nothing of ours waits in
 * `scope` any more.
 */
async function within(
  scope: Scope,
  seconds: number,
  answer: PromiseLike<unknown>,
): Promise<boolean> {
  const wait = park<boolean>(scope, "the source of mapConcurrent to close", () => false);
  wait.isForeign = true;
  answer.then(
    () => wait.resume(true),
    (error) => failed(wait, error),
  );
  if (seconds === Number.POSITIVE_INFINITY) return await wait.promise;
  const { loop } = scope;
  const target: TimerTarget = {
    timerDue() {
      if (!waitsElsewhere(scope)) return void wait.resume(false);
      if (scope.cancelling() === 0) scope.cancel(undefined, "deadline");
      timer = loop.addTimer(loop.time() + seconds, target);
    },
  };
  let timer = loop.addTimer(loop.time() + seconds, target);
  try {
    return await wait.promise;
  } finally {
    loop.cancelTimer(timer);
  }
}
