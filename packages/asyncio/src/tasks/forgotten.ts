/**
 * Things that do nothing until they are used, and that were not used: `await mapConcurrent(urls,
 * load, { limit: 10 })` loads nothing, because no result is asked for. That is reported, once a
 * place: when the task that made the thing has returned, or when the thing is collected, whichever
 * is first. A task that was cancelled or has failed had no time to use it.
 */

import type { Advice } from "../errors/advice.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import type { Task } from "../kernel/task.ts";

/** Keeps a thing from being called forgotten. */
export interface Expectation {
  /** It is used. */
  meet(): void;
}

class Forgotten implements Expectation {
  readonly #what: string;
  readonly #cure: Advice;
  readonly #loop: EventLoop;
  readonly #task: Task<unknown> | undefined;
  /** Must not keep it alive. */
  readonly #thing: WeakRef<object>;
  /** Its stack is formatted when it is read. */
  readonly #place: { stack?: string };

  constructor(
    thing: object,
    what: string,
    cure: Advice,
    { loop, task }: Pick<ReturnType<typeof here>, "loop" | "task">,
    place: { stack?: string },
  ) {
    this.#thing = new WeakRef(thing);
    this.#what = what;
    this.#cure = cure;
    this.#loop = loop;
    this.#task = task;
    this.#place = place;
  }

  meet(): void {
    collected.unregister(this);
    if (this.#task !== undefined) made.get(this.#task)?.delete(this);
  }

  /** The task that made it has returned; what it returns may be the thing. */
  taskReturned(task: Task<unknown>): void {
    if (this.#thing.deref() === task.value) return;
    this.meet();
    this.#report(`before ${task.describe()} ended`);
  }

  wasCollected(): void {
    this.meet();
    this.#report("before it was dropped");
  }

  #report(when: string): void {
    const place = (this.#place.stack ?? "").replace(/^.*\n/, "");
    const known = places.get(this.#loop) ?? new Set();
    places.set(this.#loop, known);
    if (known.has(place)) return;
    known.add(place);
    this.#loop.callExceptionHandler({
      message: `${this.#what} ${when}${this.#cure}`,
      task: this.#task,
      sourceTraceback: place,
    });
  }
}

const collected: FinalizationRegistry<Forgotten> = /* @__PURE__ */ new FinalizationRegistry(
  (forgotten) => forgotten.wasCollected(),
);

/** What each task has made that was not used yet. */
const made: WeakMap<Task<unknown>, Set<Forgotten>> = new WeakMap();

/** The places that were reported. */
const places: WeakMap<EventLoop, Set<string>> = new WeakMap();

/**
 * Expects that `thing`, just made by a call of `api`, is used. `what` begins the report, `cure`
 * ends it.
 */
export function expectUse(
  thing: object,
  api: (...args: never[]) => unknown,
  what: string,
  cure: Advice,
): Expectation {
  const scope = here();
  const forgotten = new Forgotten(thing, what, cure, scope, placeAbove(api));
  collected.register(thing, forgotten, forgotten);
  const { task } = scope;
  if (task === undefined || task.done()) return forgotten;
  const others = made.get(task);
  if (others !== undefined) others.add(forgotten);
  else {
    made.set(task, new Set([forgotten]));
    task.listen({ futureDone: () => taskEnded(task) });
  }
  return forgotten;
}

function taskEnded(task: Task<unknown>): void {
  const all = made.get(task) ?? [];
  for (const forgotten of all)
    if (task.state === "fulfilled") forgotten.taskReturned(task);
    else forgotten.meet();
}

/** V8's control of stacks; other engines lack it. */
const stackErrors = Error as unknown as {
  captureStackTrace?(target: object, above: unknown): void;
};

function placeAbove(api: unknown): { stack?: string } {
  if (stackErrors.captureStackTrace === undefined) return new Error();
  const holder = {};
  stackErrors.captureStackTrace(holder, api);
  return holder;
}
