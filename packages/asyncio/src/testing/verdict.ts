/** What a test is judged by when its body has ended and nothing is ready any more. */

import { Handle } from "../kernel/callback.ts";
import type { Watched } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { creationSites, type ExceptionContext } from "../kernel/reports.ts";
import type { Task } from "../kernel/task.ts";
import { Wait } from "../kernel/wait.ts";
import { formatSeconds } from "../structures/timers.ts";
import { LeakError, RaceError, SweepError, UnhandledError } from "./errors.ts";
import type { Failure, Injector } from "./injector.ts";
import type { RaceFinder } from "./races.ts";

/** The live tasks of a loop and what they wait for, a line each. */
export function tasksInWords(loop: EventLoop): string[] {
  return loop.tasks.toArray().map((task) => {
    const waits = task.scope.parkedWaits().map(describeWait);
    // One that its group has not admitted yet has no wait, but words.
    if (waits.length === 0) waits.push(...task.waitingFor());
    const what =
      waits.length === 0 ? "sits in a foreign await" : `is waiting for ${waits.join(" and ")}`;
    return `${task.describe()} ${what}`;
  });
}

function describeWait(wait: Wait): string {
  const site = creationSites.get(wait);
  return site === undefined ? wait.describe() : `${wait.describe()} (${site})`;
}

/**
 * How the body has ended: in a sweep with nothing but what was injected, and not as if nothing had
 * happened.
 */
export function failureOfBody(
  main: Task<unknown>,
  injector: Injector,
  mayReturn: boolean,
): Failure | undefined {
  const error = main.failure;
  if (main.state === "fulfilled") {
    if (!injector.isDelivered || mayReturn || main.cancelling() === 0) return undefined;
    const message =
      "the body was cancelled, and has returned as if nothing had happened: a `catch` has swallowed the CancelledError. " +
      "Rethrow it, or pass `mayReturn: true` if that is meant";
    return { error: new SweepError(message) };
  }
  if (!injector.isUsed) return { error };
  if (injector.isInjection(error)) return undefined;
  const message = injector.mode.cancels
    ? `only a CancelledError may leave a body that was cancelled, but it failed with ${String(error)}`
    : `only the failure that was injected may leave the body, but it failed with ${String(error)}`;
  return { error: new SweepError(message, { cause: error }) };
}

/** What was reported to the exception handler, because it reached no caller. */
export function failureOfProblems(
  reported: readonly ExceptionContext[],
  injector: Injector,
): Failure | undefined {
  // What was injected may hit a task that is not awaited any more.
  const problems = reported.filter(
    ({ exception }) => !injector.isUsed || !injector.isInjection(exception),
  );
  if (problems.length === 0) return undefined;
  const messages = problems.map(({ message, exception }) =>
    exception === undefined ? message : `${message}: ${String(exception)}`,
  );
  const exceptions = problems.flatMap(({ exception }) =>
    exception === undefined ? [] : [exception],
  );
  return { error: new UnhandledError(messages, exceptions) };
}

/**
 * Tasks that have not ended, callbacks and waits that are still to come, and what was not given
 * back.
 */
export function failureOfLeaks(loop: EventLoop, watched: Iterable<Watched>): Failure | undefined {
  const left = tasksInWords(loop);
  for (const target of loop.timers.targets()) {
    if (target instanceof Handle) {
      if (target.isAwaited) left.push(describeHandle(target, loop));
    } else if (target instanceof Wait && target.scope.task === undefined)
      left.push(`a wait outside every task: ${target.describe()}`);
  }
  for (const resource of watched) {
    const leftover = resource.leftover();
    if (leftover !== undefined) left.push(leftover);
  }
  return left.length === 0 ? undefined : { error: new LeakError(left) };
}

export function failureOfRaces({ found }: RaceFinder): Failure | undefined {
  return found.size === 0 ? undefined : { error: new RaceError([...found]) };
}

function describeHandle(handle: Handle, loop: EventLoop): string {
  const createdAt = creationSites.get(handle);
  const site = createdAt === undefined ? "" : ` (${createdAt})`;
  return `a timer of ${handle.scope.label}, due in ${formatSeconds((handle.when() ?? 0) - loop.time())}${site}`;
}
