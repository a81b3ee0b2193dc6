/** Several ways to one answer: the same one again where it is slow, or another where it fails. */

import { checkCoroutine, checkSeconds, rangeError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import type { Coroutine } from "../kernel/task.ts";
import { ExceptionGroup } from "../tasks/exception-group.ts";
import { stagger, type Winner } from "../tasks/race.ts";
import type { SignalOption } from "../tasks/timeouts.ts";
import { BUDGET, isCancellation, opened, type RetryBudget } from "./retry.ts";
import { finiteCount, settle } from "./settings.ts";

/** What `hedge` takes. */
export interface HedgeOptions extends SignalOption {
  /** How many attempts at most, the first included. @default 2 */
  readonly max?: number | undefined;
  /** Shared by many calls: refuses a further attempt when too many of all calls are such. */
  readonly budget?: RetryBudget | undefined;
}

const OPTIONS = { max: [finiteCount, 2], budget: BUDGET, signal: "AbortSignal" } as const;
/** In place of an attempt that the budget refuses. */
const refusal = new Error("the budget allows no further attempt");

/**
 * Runs `body(attempt)`, and once more beside it if it has not ended after `after` seconds or has
 * failed. The first to succeed wins; the others are cancelled and awaited. If all fail, what the
 * last one threw is thrown, as it is. Cancelled, it cancels all attempts, and waits for them. Only
 * for work that may be done twice. Source: Dean and Barroso, "The Tail at Scale".
 *
 * @example
 * const seconds = [3600, 0.001];
 * const ask = (attempt: number) => asyncio.sleep(seconds[attempt - 1] ?? 0, `attempt ${attempt}`);
 * assert.equal(await patterns.hedge(0.01, ask), "attempt 2");
 */
export async function hedge<T>(
  after: number,
  body: (attempt: number) => T | PromiseLike<T>,
  options?: HedgeOptions,
): Promise<T> {
  const api = "`hedge`";
  checkSeconds(api, "a number of seconds", after);
  checkCoroutine(api, body);
  const { max, budget, signal } = settle(api, options, OPTIONS);
  let last: unknown;
  const at = (index: number) => async (): Promise<T> => {
    if (index === 0) budget?.noteCall();
    else if (budget?.allows() === false) throw refusal;
    try {
      return await body(index + 1);
    } catch (error) {
      last = error;
      throw error;
    }
  };
  const delay = after === Number.POSITIVE_INFINITY ? null : after;
  return await opened(signal, async () => {
    try {
      const [value] = await stagger({ length: max, at }, delay, undefined, "hedge");
      return value;
    } catch (error) {
      throw error instanceof ExceptionGroup && error.errors.includes(last) ? last : error;
    }
  });
}

/**
 * Runs `thunks` one after the other until one succeeds, and gives what that gives. If all fail,
 * rejects with an ExceptionGroup of their failures. A cancellation ends it.
 *
 * @example
 * const broken = async (): Promise<string> => { throw new Error("the mirror is down"); };
 * assert.equal(await patterns.fallback(broken, async () => "from the origin"), "from the origin");
 */
export async function fallback<const A extends readonly Coroutine<unknown>[]>(
  ...thunks: A
): Promise<Winner<A>> {
  for (const thunk of thunks) checkCoroutine("`fallback`", thunk);
  if (thunks.length === 0) throw rangeError("`fallback`", "at least one function", thunks);
  const stop = here().interruption("fallback");
  if (stop !== undefined) await stop;
  const errors: unknown[] = [];
  for (const thunk of thunks) {
    try {
      return (await thunk()) as Winner<A>; // a value of one of the thunks
    } catch (error) {
      if (isCancellation(error)) throw error;
      errors.push(error);
    }
  }
  throw new ExceptionGroup("every way of `fallback` has failed", errors);
}
