/** What a task group takes, and what becomes of what fails in it. */

import { argumentError, checkOptions, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { EventLoop } from "../kernel/loop.ts";
import type { Task, TaskOptions } from "../kernel/task.ts";
import { checkSignal } from "../ports/abort.ts";
import { ExceptionGroup } from "./exception-group.ts";
import type { SignalOption } from "./timeouts.ts";

/**
 * What becomes of the failure of a child. "cancel": the others are cancelled, and all failures come
 * out as an ExceptionGroup. "bare": the others are cancelled, the failure that came first comes out
 * as it is, and later ones are reported. "isolate": nobody is cancelled; whoever awaits the child
 * is told, else it is reported. A function: as "isolate", and it is told, at once. In the last
 * three a failure of the body cancels the children and comes out as it is.
 */
export type OnError =
  | "cancel"
  | "bare"
  | "isolate"
  | ((error: unknown, task: Task<unknown>) => unknown);

/** What `taskGroup` takes. */
export interface TaskGroupOptions extends SignalOption {
  /**
   * How many children run at the same time; the others start in order as places become free.
   * @default Infinity
   */
  readonly limit?: number | undefined;
  /** What reports call it. */
  readonly name?: string | undefined;
  /** What becomes of the failure of a child. @default "cancel" */
  readonly onError?: OnError | undefined;
}

/** What `group.start` takes. */
export interface StartOptions extends TaskOptions {
  /** Gives the child as well: `{ value, task }`. @default false */
  readonly handle?: boolean | undefined;
}

export const GROUP_OPTIONS: Names<TaskGroupOptions> = { limit: 1, name: 1, onError: 1, signal: 1 };
export const START_OPTIONS: Names<StartOptions> = {
  name: 1,
  context: 1,
  eagerStart: 1,
  signal: 1,
  cancelGrace: 1,
  handle: 1,
};
const MODES: readonly unknown[] = ["cancel", "bare", "isolate"];

/** @throws TypeError, RangeError, or the reason of a signal that has aborted already. */
export function checkGroupOptions(options: TaskGroupOptions | undefined): void {
  const api = "`taskGroup`";
  checkOptions(api, options, GROUP_OPTIONS);
  checkSignal(api, options?.signal);
  const { limit = Number.POSITIVE_INFINITY, onError = "cancel" } = options ?? {};
  checkLimit(api, "`limit`", limit);
  if (typeof onError === "function" || MODES.includes(onError)) return;
  const expected = '`onError` to be "cancel", "bare", "isolate" or a function';
  throw argumentError(api, expected, onError);
}

export function checkLimit(api: string, what: string, limit: unknown): void {
  if (typeof limit !== "number") throw argumentError(api, `${what} to be a number`, limit);
  if (!(limit >= 1)) throw rangeError(api, `${what} to be at least 1`, limit);
}

/** A failure that ended a group, or came after that. */
interface Failure {
  /** That of the child in the order of creation; the body comes first. */
  readonly place: number;
  readonly error: unknown;
}

/** What the failures of a group ask it. */
interface FailingGroup {
  readonly scopeAround: { readonly loop: EventLoop };
  describeWait(): string;
}

/** What has failed in a group, as it came. Of several, one comes out where they come out bare. */
export class Failures {
  readonly #group: FailingGroup;
  readonly #onError: OnError;
  readonly #all: Failure[] = [];

  constructor(group: FailingGroup, onError: OnError) {
    this.#group = group;
    this.#onError = onError;
  }

  get any(): boolean {
    return this.#all.length > 0;
  }

  add(place: number, error: unknown, task?: Task<unknown>): void {
    const [first] = this.#all;
    if (first === undefined || this.#onError === "cancel") this.#all.push({ place, error });
    else if (first.error !== error) {
      const what = `${task?.describe() ?? "the body"} of ${this.#group.describeWait()}`;
      const message = `${what} has failed after another one`;
      this.#group.scopeAround.loop.callExceptionHandler({ message, exception: error, task });
    }
  }

  /** What the `taskGroup` call throws. */
  outcome(): unknown {
    if (this.#onError !== "cancel") return this.#all[0]?.error;
    this.#all.sort((a, b) => a.place - b.place);
    // What the body saw by awaiting a child, and the child's own failure, are one (F7).
    const errors = new Set(this.#all.map(({ error }) => error));
    return new ExceptionGroup(`${this.#group.describeWait()} has failed`, [...errors]);
  }
}
