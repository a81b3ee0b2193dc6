/** Maps whose results are wanted all at once, or not at all. */

import { checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { type Kept, skip } from "./concurrent-map.ts";
import { makeMap } from "./map-concurrent.ts";
import { type SignalOption, underSignal } from "./timeouts.ts";

/** What `mapAll` and `forEachConcurrent` take. */
export interface MapOptions extends SignalOption {
  /** How many items are worked on at a time. */
  readonly limit: number;
  /**
   * "throw": the first failure cancels the rest, and comes out bare. "collect": all items have
   * their turn, then all failures come as one ExceptionGroup. @default "throw"
   */
  readonly onError?: "throw" | "collect" | undefined;
}

const KNOWN: Names<MapOptions> = { limit: 1, onError: 1, signal: "AbortSignal" };

/**
 * Calls `fn(item, index)` for each of `items`, at most `limit` at a time, and gives all results, in
 * the order of the items. Items for which it gives `skip` are left out. The first failure cancels
 * the rest, waits until it has ended, and comes out as it is; failures that come after it are
 * reported. With `onError: "collect"` all items have their turn, and then all failures come out.
 * Cancelled, it cancels all that is under way and waits for it. Sources: p-map, Effect's `forEach`.
 *
 * @example
 * const load = (url: string) => asyncio.sleep(0.001, `page ${url}`);
 * const pages = await asyncio.mapAll(["/a", "/b", "/c"], load, { limit: 2 });
 * assert.deepEqual(pages, ["page /a", "page /b", "page /c"]);
 */
export async function mapAll<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T, index: number) => R | PromiseLike<R>,
  options: MapOptions,
): Promise<Kept<R>[]> {
  const results: Kept<R>[] = [];
  await runMap("`mapAll`", items, fn, options, async (item, index) => {
    const result = await fn(item, index);
    if (result !== skip) results[index] = result as Kept<R>; // all but `skip`
  });
  return results.filter(() => true); // without the holes of those that were left out
}

/**
 * Calls `fn(item, index)` for each of `items`, at most `limit` at a time, and waits until all have
 * ended. What `fn` gives is dropped. The first failure cancels the rest, waits until it has ended,
 * and comes out as it is; with `onError: "collect"` all items have their turn. Cancelled, it
 * cancels all that is under way and waits for it.
 *
 * @example
 * const sent: string[] = [];
 * const send = async (to: string) => sent.push(await asyncio.sleep(0.001, to));
 * await asyncio.forEachConcurrent(["ann", "bob"], send, { limit: 2 });
 * assert.deepEqual(sent, ["ann", "bob"]);
 */
export async function forEachConcurrent<T>(
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T, index: number) => unknown,
  options: MapOptions,
): Promise<void> {
  await runMap("`forEachConcurrent`", items, fn, options, fn);
}

/** Results are not kept by the map, which so gives failures at once, and not in their place. */
async function runMap<T>(
  api: string,
  items: Iterable<T> | AsyncIterable<T>,
  fn: unknown,
  options: MapOptions,
  work: (item: T, index: number) => unknown,
): Promise<void> {
  checkOptions(api, options ?? undefined, KNOWN);
  const { signal, limit, onError } = options ?? {};
  const each = async (item: T, index: number): Promise<typeof skip> => {
    await work(item, index);
    return skip;
  };
  const wrong = typeof fn === "function" ? each : (fn as typeof each); // which the map refuses
  const map = makeMap(api, items, wrong, { limit, onError, ordered: false });
  await underSignal(api, signal, () => map.forEach(() => {}));
}
