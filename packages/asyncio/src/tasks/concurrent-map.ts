/** What `mapConcurrent` takes, and what it gives. */

/** What `mapConcurrent` takes. */
export interface MapConcurrentOptions {
  /** How many items are worked on, or wait with their result to be taken, at most. */
  readonly limit: number;
  /** Results in the order of their items; if false, as they come. @default true */
  readonly ordered?: boolean | undefined;
  /**
   * "throw": the first failure of `fn` ends the map, bare. "collect": all items have their turn,
   * then all failures come as one ExceptionGroup. @default "throw"
   */
  readonly onError?: "throw" | "collect" | undefined;
}

/**
 * What the function of a map gives for an item that is to be left out of the results.
 *
 * @example
 * const even = async (n: number) => (n % 2 === 0 ? n : asyncio.skip);
 * assert.deepEqual(await asyncio.mapAll([1, 2, 3, 4], even, { limit: 2 }), [2, 4]);
 */
export const skip: unique symbol = Symbol.for("asyncio-ts.skip");

/** What a map gives of what its function gives. */
export type Kept<R> = Exclude<R, typeof skip>;

/** The results of `mapConcurrent`, as they are asked for. */
export interface ConcurrentMap<R> extends AsyncIterableIterator<R> {
  /**
   * Waits for the next result. Cancelled, it cancels everything that is under way, and waits until
   * that has ended.
   */
  next(): Promise<IteratorResult<R, undefined>>;
  /**
   * Cancels everything that is under way, and waits until it has ended and the source is closed.
   */
  return(): Promise<IteratorResult<R, undefined>>;
  [Symbol.asyncIterator](): ConcurrentMap<R>;
  /**
   * Waits for all the results that were not taken yet, and gives them in one array, in the order in
   * which the loop would get them. A failure is thrown, and what came before it is dropped.
   * Cancelled, it ends as the loop over the map does.
   *
   * @example
   * const double = async (n: number) => asyncio.sleep(0.001, n * 2);
   * assert.deepEqual(await asyncio.mapConcurrent([1, 2, 3], double, { limit: 2 }).toArray(), [2, 4,
   * 6]);
   */
  toArray(): Promise<R[]>;
  /**
   * Calls `use(result)` for each result, one after the other, and waits for what it returns before
   * it takes the next one. A failure of `use` leaves the map as `break` does: what is under way is
   * cancelled and awaited.
   *
   * @example
   * const log: number[] = [];
   * const double = async (n: number) => asyncio.sleep(0.001, n * 2);
   * await asyncio.mapConcurrent([1, 2, 3], double, { limit: 2 }).forEach((result) =>
   * log.push(result)); assert.deepEqual(log, [2, 4, 6]);
   */
  forEach(use: (result: R) => unknown): Promise<void>;
}

/** A failure in the place of its item. */
export class Failure {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** What became of an item, until it is taken: what `next` gives, a failure, or nothing to give. */
export type Outcome<R> = IteratorYieldResult<R> | Failure | typeof skip;
