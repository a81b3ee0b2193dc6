/**
 * What `select` asks of a primitive: its main operation in two parts. It is tried; if it would have
 * to wait, it stands in line, together with the others of that select. Both happen in one step, and
 * what a line gives changes hands in one call: there is nothing to reserve or give back.
 */

import type { EventLoop } from "./loop.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";
import type { WaitList, WaitSubject } from "./wait.ts";

/** Something that was got, so that `undefined` can say "nothing there". */
export interface Got<T> {
  /** What was got. */
  readonly value: T;
}
/** Whoever begins an operation. */
export interface Caller {
  /** Undefined outside every task. */
  readonly task: Task<unknown> | undefined;
  /** @internal */ readonly loop: EventLoop;
}

/** What stands in a line: a wait of its own, or one case of a `select`. */
export interface Place<T = unknown> {
  /** Whose it is; undefined outside every task. */
  readonly task: Task<unknown> | undefined;
  /** What it brought along for whoever serves it. */
  offer: unknown;
  /** Serves it, and so decides its `select`. False: that was decided before, `value` is yours. */
  resume(value: T): boolean;
  /** Ends it with `error` in the same way. */
  fail(error: unknown): boolean;
  /** @internal */ readonly scope: Scope;
  /** @internal */ list: WaitList | undefined;
  /** @internal */ listPrevious: Place | undefined;
  /** @internal */ listNext: Place | undefined;
}

/** An operation in two parts. No code of the program runs in them or between them. */
export interface Operation<T> {
  /** What it waits for, as `park` takes it. */
  readonly subject: WaitSubject;
  /** Completes it now if it need not wait; undefined, or an error thrown, has changed nothing. */
  attempt(caller: Caller): Got<T> | undefined;
  /** Puts `place` in line. Whoever serves the line calls its `resume` or its `fail`. */
  enlist(place: Place<T>): void;
  /** Takes `place` out of the line again. @default what `WaitList.remove` does */
  withdraw?(place: Place<T>): void;
  /** Called when places have left the line unserved: some that stood behind may fit now. */
  left?(): void;
  /** @internal Makes of what a line hands out what the case gives. */ convert?(value: unknown): T;
  /** @internal Makes a value of an error that is no failure. */
  recover?(error: unknown): Got<T> | undefined;
}

/**
 * The key of the two-part form of an object's main operation.
 *
 * @example
 * import { operation } from "asyncio-ts/lowlevel";
 * const { subject } = new asyncio.Event({ name: "ready" })[operation]();
 * assert.equal(typeof subject, "object");
 */
export const operation: unique symbol = Symbol.for("asyncio-ts.operation");

/** What can be a case of a `select`. */
export interface Selectable<T> {
  /** Its main operation, in two parts. */
  [operation](): Operation<T>;
}
