/** One call for all who ask for the same thing at the same time. Nothing is kept after it. */

import { argumentError, checkCoroutine, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here } from "../kernel/operation.ts";
import { Task } from "../kernel/task.ts";
import { Joint } from "./joint.ts";

/** What `singleFlight` takes. */
export interface SingleFlightOptions<A extends readonly unknown[]> {
  /** What reports call it. @default the name of the function */
  readonly name?: string | undefined;
  /** What makes two calls the same. @default the argument; needed where there are several */
  readonly key?: ((...args: A) => unknown) | undefined;
}

const KNOWN: Names<SingleFlightOptions<unknown[]>> = { name: 1, key: 1 };

/**
 * Gives a function that calls `fn` once for all who ask meanwhile: a call with the same key as one
 * that is under way waits for that one. Its value or its failure goes to all of them; nothing is
 * kept. Each caller can be cancelled by itself and leaves at once; the last one cancels the work,
 * and waits until it has ended. Who comes while it ends begins another. The work is a task, with
 * the context variables of whoever began it, and under no deadline of theirs. Source: Go's
 * singleflight, which does not cancel.
 *
 * @throws TypeError for wrong arguments. A call with several arguments rejects with one if there is
 * no `key`.
 *
 * @example
 * let calls = 0;
 * const user = patterns.singleFlight(async (id: number) => {
 *   calls++;
 *   return await asyncio.sleep(0.001, `user ${id}`);
 * });
 * const names = await Promise.all([user(1), user(1), user(2)]);
 * assert.deepEqual([names, calls], [["user 1", "user 1", "user 2"], 2]);
 */
export function singleFlight<A extends readonly unknown[], R>(
  fn: (...args: A) => R | PromiseLike<R>,
  options?: SingleFlightOptions<A>,
): (...args: A) => Promise<R> {
  const api = "`singleFlight`";
  checkCoroutine(api, fn);
  checkOptions(api, options, KNOWN);
  if (options?.key !== undefined) checkCoroutine(api, options.key);
  const name = options?.name ?? (fn.name === "" ? undefined : fn.name);
  const flights = new Map<unknown, Joint<R>>();

  function keyOf(args: A): unknown {
    if (options?.key !== undefined) return options.key(...args);
    if (args.length < 2) return args[0];
    const cure = "Pass `{ key: (a, b) => ... }`, which says when two calls are the same";
    throw argumentError(api, "a `key` for calls with several arguments", undefined, cure);
  }

  function begin(key: unknown, args: A): Joint<R> {
    const task = new Task(here().loop, () => fn(...args), { name });
    const flight = new Joint(task);
    flights.set(key, flight);
    task.listen({
      futureDone() {
        if (flights.get(key) === flight) flights.delete(key);
      },
    });
    return flight;
  }

  return (...args) => {
    const scope = here();
    const stop = scope.interruption(name ?? "a single flight");
    if (stop !== undefined) return stop;
    try {
      scope.loop.checkOpen(api);
      const key = keyOf(args);
      const known = flights.get(key);
      const canJoin = known !== undefined && !known.isLeft && known.task.getLoop() === scope.loop;
      return (canJoin ? known : begin(key, args)).wait();
    } catch (error) {
      return Promise.reject(error);
    }
  };
}
