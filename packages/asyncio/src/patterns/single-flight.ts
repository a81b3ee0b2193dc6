/** One call for all who ask for the same thing at the same time. Nothing is kept after it. */

import { advice, argumentError, checkCoroutine } from "../errors/errors.ts";
import { here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { callback, settle } from "./settings.ts";

/** What `singleFlight` takes. */
export interface SingleFlightOptions<A extends readonly unknown[]> {
  /** What reports call it. @default the name of the function */
  readonly name?: string | undefined;
  /** What makes two calls the same. @default the argument; needed where there are several */
  readonly key?: ((...args: A) => unknown) | undefined;
}

const RULES = { name: "string", key: callback } as const;

/**
 * A task that belongs to all who wait for it. Whoever is cancelled leaves at once and the others go
 * on; the last one cancels the task, and waits until it has ended, as an owner does.
 */
interface Flight<R> {
  readonly task: Task<R>;
  /** True once the last one has left: who comes now has to begin another. */
  isLeft: boolean;
  /** Gives what the task gives. The caller has asked for an interruption. */
  wait(): Promise<R>;
}

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
  const { name = fn.name || undefined, key: makeKey } = settle(api, options, RULES);
  const flights = new Map<unknown, Flight<R>>();

  function keyOf(args: A): unknown {
    if (makeKey !== undefined) return makeKey(...args);
    if (args.length < 2) return args[0];
    const cure = advice("Pass `{ key: (a, b) => ... }`, which says when two calls are the same");
    throw argumentError(api, "a `key` for calls with several arguments", undefined, cure);
  }

  function begin(key: unknown, args: A): Flight<R> {
    const task = new Task(here().loop, () => fn(...args), { name });
    let waiting = 0;
    const flight: Flight<R> = {
      task,
      isLeft: false,
      wait() {
        const scope = here();
        const cycle = task.cycleThrough(scope);
        if (cycle !== undefined) return refused(scope, task, cycle);
        waiting++;
        const wait = park<R>(scope, task, (_wait, cancellation) => {
          if (waiting === 1) {
            flight.isLeft = true;
            task.forwardCancel(cancellation);
            return false;
          }
          waiting--;
          task.unlisten(wait);
          return true;
        });
        task.listen(wait);
        return wait.promise;
      },
    };
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
