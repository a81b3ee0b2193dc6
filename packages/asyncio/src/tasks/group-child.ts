/** The children of a task group: a task in its group, and one that is being started. */

import { advice, InvalidStateError } from "../errors/errors.ts";
import type { FutureListener } from "../kernel/future.ts";
import { park, type Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { Child, type Parent } from "./owners.ts";

export type AnyStarting = Pick<Starting<unknown>, "isStarted" | "hasBegun" | "ended">;

/** A task in its group: it waits for one of the places that `limit` allows, runs, is cancelled. */
export class GroupChild extends Child<GroupChild> {
  readonly task: Task<unknown>;
  /** Its place in the order of creation. */
  readonly place: number;
  /** "cancelled" is by the group, once it has run. One that is held ends at once. */
  state: "held" | "running" | "cancelled";
  /** Few are made by `group.start`: only they have it (bench: memory). */
  declare starting?: AnyStarting;
  /** Who is told of its end after the group. Few have one. */
  declare follower?: FutureListener;

  constructor(
    group: Parent<GroupChild>,
    task: Task<unknown>,
    place: number,
    isHeld: boolean,
    starting: AnyStarting | undefined,
  ) {
    super(group);
    this.task = task;
    this.place = place;
    this.state = isHeld ? "held" : "running";
    if (starting !== undefined) this.starting = starting;
  }

  override futureDone(): void {
    super.futureDone();
    this.follower?.futureDone(this.task);
  }
}

/**
 * Tells `listener` when `task` has ended, after the group that it is in. A second listener of its
 * own would need a Set, of 150 bytes (bench: idle).
 */
export function listenAfterGroup(task: Task<unknown>, listener: FutureListener): void {
  for (const group of task.allListeners()) {
    if (!(group instanceof GroupChild) || group.follower !== undefined) continue;
    group.follower = listener;
    return;
  }
  task.listen(listener);
}

/** One `group.start` on its way: until it is ready, the child answers to the caller of `start`. */
export class Starting<V> {
  readonly wait: Wait<V>;
  #child: Task<unknown> | undefined;
  isStarted = false;

  constructor(scope: Scope) {
    const subject = {
      describeWait: () => `${this.#child?.describe() ?? "a task"} to be started`,
      waitsOn: () => (this.#child === undefined ? [] : [this.#child]),
    };
    this.wait = park<V>(scope, subject, (_wait, cancellation) => {
      if (this.#child?.cancelling() === 0) this.#child.forwardCancel(cancellation);
      return false;
    });
  }

  /** An eager child has had its first step, in which it may have cancelled the caller. */
  hasBegun(child: Task<unknown>): void {
    this.#child = child;
    const { state, cancellation } = this.wait;
    if (state === "parked" && cancellation !== undefined) child.forwardCancel(cancellation);
  }

  started(value: V): void {
    if (this.isStarted)
      throw new InvalidStateError(
        `\`started\` was called twice${advice("Call it once, when the task is ready")}`,
      );
    this.isStarted = true;
    this.wait.resume(value);
  }

  /** The child has ended before it was ready. */
  ended(child: Task<unknown>): void {
    child.observe();
    if (child.state !== "fulfilled") this.wait.fail(child.failure);
    else
      this.wait.fail(
        new InvalidStateError(
          `${child.describe()} has ended without calling \`started\`${advice("Call it once the task is ready")}`,
        ),
      );
  }
}

/** The children of a group that are waited for, in words. */
export function describeChildren(children: readonly Task<unknown>[], group: string): string {
  const names = children.slice(0, 3).map((task) => task.getName());
  const more = children.length > names.length ? ", ..." : "";
  const count = children.length === 1 ? "one task" : `${children.length} tasks`;
  return `the ${count} of ${group} (${names.join(", ")}${more})`;
}

/** What refuses a child of a group that has ended, or is ending. */
export function cannotStart(
  api: string,
  child: string,
  group: string,
  hasEnded: boolean,
): InvalidStateError {
  const what = child === "" ? "a task" : JSON.stringify(child);
  const why = hasEnded ? "has ended" : "is being cancelled";
  const cure = advice("Start it before that, or in a group that lives longer");
  return new InvalidStateError(`${api} cannot start ${what}: ${group} ${why}${cure}`);
}
